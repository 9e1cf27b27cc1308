"""What the bench asks of a server that it measures."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from scripts.benches import procfs
from scripts.benches.config import CHILDREN
from scripts.benches.schedule import Schedule
from scripts.processes import Process

SHOWN_LINES = 5  # of the server's output, when it doesn't start


class Contender(ABC):
    """One server with one video. `async with` starts it and ends it.

    Set when started: `port` and `path` of the stream, `pids` of all its processes (for CPU), and `viewers_pid`, the
    process that holds the viewers (for memory).
    """

    name: str
    about: str
    """in a few words, for the table"""

    port: int
    path: str
    pids: Sequence[int]
    viewers_pid: int

    def __init__(self, viewers: int) -> None:
        """viewers: how many will come"""
        self.viewers = viewers
        self.output: list[str] = []  # what its processes wrote, for when it fails
        self._stack = AsyncExitStack()

    @staticmethod
    def prepare() -> str:
        """Gets what it needs. Returns why it can't be run here, and what would help; empty: it can."""
        return ""

    @abstractmethod
    async def start(self, stack: AsyncExitStack) -> None:
        """What is entered into `stack` is ended with the contender. Raises scripts.processes.NotReady."""

    @abstractmethod
    async def publish(self, schedule: Schedule) -> int:
        """Returns when the server has taken all comments: the time, in monotonic ns."""

    async def __aenter__(self) -> Self:
        try:
            async with AsyncExitStack() as stack:
                await self.start(stack)
                self._stack = stack.pop_all()
        except Exception as error:
            error.add_note("\n".join(self.output[-SHOWN_LINES:]))
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def run(
        self, stack: AsyncExitStack, name: str, command: Sequence[str], is_ready: Callable[[], Awaitable[bool]]
    ) -> Process:
        """Starts a process, waits until it is ready, and ends it with the contender."""
        process = Process(name, command, is_ready=is_ready, on_output=self._note, settings=CHILDREN)
        stack.push_async_callback(process.stop)
        await process.start()
        await process.wait_ready()
        return process

    def _note(self, name: str, line: str) -> None:
        del self.output[:-99]
        self.output.append(f"{name}: {line}")

    async def longest_hold_ms(self) -> float:
        """For how long a sweep has held the server's event loop at most, in ms; 0: it doesn't tell."""
        return 0.0

    def cpu_s(self) -> float:
        """Of all its processes since their start"""
        return sum(procfs.cpu_s(pid) for pid in self.pids)

    def rss_bytes(self) -> int:
        """Of the process that holds the viewers"""
        return procfs.rss_bytes(self.viewers_pid)


async def listens(port: int) -> bool:
    """Does anybody accept connections on 127.0.0.1:port?"""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


def pid_of(process: Process) -> int:
    assert process.pid is not None, f"{process.name} has ended"
    return process.pid
