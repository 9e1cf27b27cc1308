"""Writes to the nodes' streams, a few at a time, so that what comes in never waits behind a thousand writes.

Some facts about grpc.aio, measured with 1,300 streams on one video:
- Each message costs some 60 us, whether it is read or written, and each waits behind all that were begun before it, in
  one queue for all streams. So after a comment for 1,300 nodes the next one is looked at 100 ms later, and finds that
  all writes have ended: it becomes 1,300 messages of its own. At 50 comments a second that never ends.
- A write begun later costs the same and carries more.
- A task that is woken for each stream, to wait for its turn and then for its write, costs a fifth of such a message.

What does this mean? A stream that has something to send stands in a queue, and a few workers write for all: each takes
the next stream, and sends all that is queued for it by then. The queue stays short, comments are taken in at once, and
rounds grow with the load instead of the backlog. A write that doesn't end, because its peer doesn't read, is left alone
after a while, and another worker takes over: no stream waits for a slow peer.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, NoReturn, Protocol, TypeVar

from proto.tasks import Supervisor


class Writable(Protocol):
    """A stream's messages, in their order"""

    def use(self, ready: Callable[[], None]) -> None:
        """ready: to be called when there is a message, at once if there is one now; and then not before `rest`."""

    def rest(self) -> bool:
        """A message has been written. True: there is another one; False: `ready` will be called again."""


_Messages = TypeVar("_Messages", bound=Writable)


class Writing(Generic[_Messages]):
    """One stream among those that are written to"""

    __slots__ = ("broken", "messages", "write")

    def __init__(self, messages: _Messages, write: Callable[[bytes], Awaitable[None]]) -> None:
        self.messages = messages
        self.write = write
        self.broken: asyncio.Future[NoReturn] = asyncio.get_running_loop().create_future()
        """has the error with which a write has failed; nothing is written after that"""

    async def wait_broken(self) -> None:
        """Raises the error with which a write has failed. Once it is cancelled, nothing is written any more."""
        await self.broken


class Writers(Generic[_Messages]):
    """Built in a running loop. `next_message`: of a stream that is ready; None: it has nothing after all."""

    def __init__(
        self,
        at_once: int,
        forfeit_ms: int,
        next_message: Callable[[_Messages], bytes | None],
        tasks: Supervisor,
    ) -> None:
        self._forfeit_s = forfeit_ms / 1000
        self._next_message = next_message
        self._tasks = tasks
        self._loop = asyncio.get_running_loop()
        self._ready: deque[Writing[_Messages]] = deque()
        self._idle: list[asyncio.Future[None]] = []
        self._since_s: dict[Writing[_Messages], float] = {}  # written to now, in the order in which that began
        self._timer: asyncio.TimerHandle | None = None
        for _ in range(at_once):
            self._hire()

    def add(self, messages: _Messages, write: Callable[[bytes], Awaitable[None]]) -> Writing[_Messages]:
        """Writes its messages from now on, until a write fails."""
        writing = Writing(messages, write)
        messages.use(lambda: self._enqueue(writing))
        return writing

    def _enqueue(self, writing: Writing[_Messages]) -> None:
        self._ready.append(writing)
        self._wake()

    def _wake(self) -> None:
        """For a stream that waits: an idle worker, or somebody who looks whether the busy ones take too long"""
        if self._idle:
            self._idle.pop().set_result(None)
        elif self._timer is None:
            self._timer = self._loop.call_later(self._forfeit_s, self._forfeit)

    def _hire(self) -> None:
        self._tasks.spawn("write to nodes", self._work())

    async def _work(self) -> None:
        """Until a write takes too long"""
        while True:
            while not self._ready:
                woken = self._loop.create_future()
                self._idle.append(woken)
                await woken
            writing = self._ready.popleft()
            self._since_s[writing] = self._loop.time()
            try:
                if not writing.broken.done() and (message := self._next_message(writing.messages)):
                    await writing.write(message)
            except Exception as error:
                if not writing.broken.done():
                    writing.broken.set_exception(error)
                    writing.broken.exception()  # whoever waits for it gets it; nobody else has to
            if not writing.broken.done() and writing.messages.rest():
                self._ready.append(writing)
            if self._since_s.pop(writing, None) is None:  # another one works in this one's place
                if self._ready:
                    self._wake()
                return

    def _forfeit(self) -> None:
        """Puts others in the place of the workers whose writes have taken too long, as long as streams wait."""
        before_s = self._loop.time() - self._forfeit_s
        while self._since_s:
            writing, since_s = next(iter(self._since_s.items()))
            if since_s > before_s:
                break
            del self._since_s[writing]
            self._hire()
        self._timer = self._loop.call_later(self._forfeit_s, self._forfeit) if self._ready else None
