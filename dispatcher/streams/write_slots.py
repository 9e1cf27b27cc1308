"""Limits how many streams write at once, so that what comes in never waits behind a thousand writes.

Some facts about grpc.aio, measured with 1,300 streams on one video:
- Each message costs some 60 us, whether it is read or written, and each waits behind all that were begun before it, in
  one queue for all streams. So after a comment for 1,300 nodes the next one is looked at 100 ms later, and finds that
  all writes have ended: it becomes 1,300 messages of its own. At 50 comments a second that never ends.
- A write begun later costs the same and carries more.

What does this mean? A stream that has something to send waits for a slot, and then sends all that is queued by then.
The queue stays short, comments are taken in at once, and rounds grow with the load instead of the backlog. A write that
doesn't end, because its peer doesn't read, forfeits its slot after a while: no stream waits for a slow peer.
"""

import asyncio
from collections import deque
from collections.abc import Hashable


class WriteSlots:
    """A semaphore whose slots can be forfeited: `acquire`, write, `release`; first come, first served.

    Built in a running loop.
    """

    def __init__(self, slots: int, forfeit_ms: int) -> None:
        self._free = slots
        self._forfeit_s = forfeit_ms / 1000
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._since_s: dict[Hashable, float] = {}  # who has a slot, in the order in which they got it
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    async def acquire(self, who: Hashable) -> None:
        """Returns when `who` has a slot; it has only one at a time."""
        if self._free:
            self._free -= 1
        else:
            slot = self._loop.create_future()
            self._waiting.append(slot)
            if self._timer is None:
                self._timer = self._loop.call_later(self._forfeit_s, self._forfeit)
            try:
                await slot
            except asyncio.CancelledError:
                if slot.done() and not slot.cancelled():
                    self._pass_on()  # it was granted and cancelled at the same time
                raise
        self._since_s[who] = self._loop.time()

    def release(self, who: Hashable) -> None:
        """Does nothing if the slot was forfeited before."""
        if self._since_s.pop(who, None) is not None:
            self._pass_on()

    def _pass_on(self) -> None:
        while self._waiting:
            slot = self._waiting.popleft()
            if not slot.done():
                slot.set_result(None)
                return
        self._free += 1

    def _forfeit(self) -> None:
        """Takes the slots of those who have had them for too long, as long as others wait."""
        before_s = self._loop.time() - self._forfeit_s
        while self._since_s:
            who, since_s = next(iter(self._since_s.items()))
            if since_s > before_s:
                break
            self.release(who)
        self._timer = self._loop.call_later(self._forfeit_s, self._forfeit) if self._waiting else None
