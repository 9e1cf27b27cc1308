"""Runs a bench: starts the processes that it needs, and ends all of them whatever happens."""

import asyncio
import contextlib
import signal
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

import aiohttp
import grpc
import msgspec

from history.store import StoreUnavailable
from scripts.benches.config import CHILDREN
from scripts.config import SupervisorSettings
from scripts.plan import Part, Plan, free_ports, make_plan, ports_of
from scripts.processes import ROOT, NotReady, Process, ProcessSupervisor, start_tethered

T = TypeVar("T")

ANSWER_BYTES_MAX = 1 << 28  # a thousand nodes' latencies in one line
OUTPUT_LINES = 5  # of all processes, shown when one doesn't start


class BenchFailed(Exception):
    """Nothing can be measured; the message says why, and what would help."""


EXPECTED = (BenchFailed, NotReady, StoreUnavailable, grpc.RpcError, aiohttp.ClientError, TimeoutError, OSError)
"""What ends a bench with a sentence and not with a traceback"""


def run_bench(work: Coroutine[Any, Any, bool]) -> int:
    """Returns the exit code: 0 if `work` says True; 1 if not, or if it failed; 130 after Ctrl-C or SIGTERM.

    Either signal cancels the work, which ends its processes first.
    """

    async def stoppable() -> bool:
        task = asyncio.current_task()
        assert task
        for number in (signal.SIGTERM, signal.SIGINT):  # asyncio takes SIGINT only if nobody else did
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        return await work

    try:
        return 0 if asyncio.run(stoppable()) else 1
    except EXPECTED as error:
        print(f"bench: {error or repr(error)}", *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("bench: stopped; all that it started is ended", file=sys.stderr)
        return 130


@contextlib.contextmanager
def ungrouped() -> Iterator[None]:
    """Around a TaskGroup: raises the first of its exceptions instead of a group."""
    try:
        yield
    except ExceptionGroup as failures:
        first: BaseException = failures
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from failures


class Program(NamedTuple):
    """What scripts/plan.py doesn't plan"""

    name: str
    command: Sequence[str]
    is_ready: Callable[[], Awaitable[bool]]


class Log:
    """What processes wrote, each line behind the time (monotonic seconds) and the process's name"""

    def __init__(self, on_line: Callable[[str, str], object] = lambda name, line: None, lines_max: int | None = 99):
        self.lines: deque[str] = deque(maxlen=lines_max)
        self._on_line = on_line

    def __call__(self, name: str, line: str) -> None:
        self.lines.append(f"{time.monotonic():.3f} {name} {line}")
        self._on_line(name, line)


def quiet_plan(store: str, data: Path, *, dispatchers: int, rms: int) -> Plan:
    """Of a system with one comment_service, on free ports, that logs nothing but errors, for the bench to read"""
    return make_plan(
        dispatchers=dispatchers,
        rms=rms,
        store=store,
        data=data,
        ports=free_ports(ports_of(dispatchers=dispatchers, rms=rms)),
        log_format="json",
        more_flags=lambda role: ("--log-level", "error"),
    )


@asynccontextmanager
async def running(
    groups: Sequence[Sequence[Program | Part]],
    *,
    log: Log | None = None,
    restart: bool = False,
    root: Path = ROOT,
    settings: SupervisorSettings = CHILDREN,
) -> AsyncIterator[list[Process]]:
    """Starts one group after the other and ends them in reverse order. Gives their processes, all ready, in order.

    restart: a process that dies is started again. root: the checkout whose code they run. Raises NotReady, with the
    last lines of output as a note.
    """
    said = log or Log()
    shared: Any = {"on_output": said, "root": root, "settings": settings}
    processes = [[Process(p.name, p.command, is_ready=p.is_ready, **shared) for p in group] for group in groups]
    supervisor = ProcessSupervisor(processes, restart=restart, say=said, settings=settings)
    try:
        await supervisor.start()
    except BaseException as error:
        error.add_note("\n".join([*said.lines][-OUTPUT_LINES:]))
        await supervisor.stop()
        raise
    try:
        yield supervisor.processes
    finally:
        await supervisor.stop()


def pid_of(process: Process) -> int:
    """Raises BenchFailed if it has ended."""
    if process.pid is None:
        raise BenchFailed(f"{process.name} has ended")
    return process.pid


async def listens(port: int) -> bool:
    """Tells whether anybody accepts connections on 127.0.0.1:port."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


class Child:
    """A program that is given orders as lines on its stdin, and answers each with one line of JSON.

    `async with` starts it, and kills it at the end. One order at a time. Raises BenchFailed when it ends or is silent.
    """

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self._name = name
        self._command = command

    async def __aenter__(self) -> Self:
        self._process = await start_tethered(
            self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=ANSWER_BYTES_MAX,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.communicate()

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ask(self, order: str, kind: type[T], timeout_s: float) -> T:
        stdin = self._process.stdin
        assert stdin
        with contextlib.suppress(ConnectionError):  # it has ended: `answer` tells why
            stdin.write(f"{order}\n".encode())
            await stdin.drain()
        return await self.answer(kind, timeout_s)

    async def answer(self, kind: type[T], timeout_s: float) -> T:
        """Waits for the next line without giving an order."""
        stdout, stderr = self._process.stdout, self._process.stderr
        assert stdout
        assert stderr
        try:
            async with asyncio.timeout(timeout_s):
                line = await stdout.readline()
                if line:
                    return msgspec.json.decode(line, type=kind)
                raise BenchFailed(f"{self._name} has ended: {(await stderr.read()).decode().strip()}")
        except TimeoutError:
            raise BenchFailed(f"{self._name} did not answer within {timeout_s:g} s") from None
