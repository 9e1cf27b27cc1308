"""Who may write now: a few streams at once, so that what comes in is never behind a thousand writes.

Some facts about grpc.aio, measured with 1,300 streams on one video:
- Each message costs some 60 us, whether it is read or written, and each waits behind all that were begun before it, in
  one queue for all streams. So after a comment for 1,300 nodes the next one is looked at 100 ms later, and finds that
  all writes have ended: it becomes 1,300 messages of its own. At 50 comments a second that never ends.
- A write begun later costs the same and carries more.

What does this mean? A stream that has something to say waits for its turn, and says then what has come together by
then. The queue stays short, comments are taken in at once, and rounds grow with the load instead of the backlog. A
write that doesn't end, because its peer doesn't read, forfeits its turn after a while: nobody waits for a slow peer.
"""

import asyncio
from collections import deque
from collections.abc import Hashable


class Turns:
    """`take`, write, `give_back`; first come, first served. Built in a running loop."""

    def __init__(self, at_once: int, forfeit_ms: int) -> None:
        self._free = at_once
        self._forfeit_s = forfeit_ms / 1000
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._since_s: dict[Hashable, float] = {}  # who has a turn, in the order in which they got it
        self._loop = asyncio.get_running_loop()
        self._look: asyncio.TimerHandle | None = None

    async def take(self, who: Hashable) -> None:
        """Returns when it is `who`'s turn; it has only one at a time."""
        if self._free:
            self._free -= 1
        else:
            turn = self._loop.create_future()
            self._waiting.append(turn)
            if self._look is None:
                self._look = self._loop.call_later(self._forfeit_s, self._forfeit)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._pass_on()  # it came too late
                raise
        self._since_s[who] = self._loop.time()

    def give_back(self, who: Hashable) -> None:
        """Nothing happens if the turn was forfeited before."""
        if self._since_s.pop(who, None) is not None:
            self._pass_on()

    def _pass_on(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def _forfeit(self) -> None:
        """Takes the turn from those who have had it for too long, as long as others wait."""
        before_s = self._loop.time() - self._forfeit_s
        while self._since_s:
            who, since_s = next(iter(self._since_s.items()))
            if since_s > before_s:
                break
            self.give_back(who)
        self._look = self._loop.call_later(self._forfeit_s, self._forfeit) if self._waiting else None
