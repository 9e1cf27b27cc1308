"""The processes of browsers: a screen in memory for those that need one, an end for all, and sleep for a while."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from scripts.processes import start_tethered
from tests.waiting import eventually

SCREEN = "1400x1000x24"
END_S = 5


@contextlib.asynccontextmanager
async def screen() -> AsyncIterator[str]:
    """The screen's name, for the environment variable DISPLAY. What still runs on it at the end loses its window."""
    command = ("Xvfb", "-displayfd", "1", "-screen", "0", SCREEN, "-nolisten", "tcp", "-noreset")
    async with running(command, stdout=asyncio.subprocess.PIPE) as server:
        assert server.stdout is not None
        number = (await server.stdout.readline()).decode().strip()
        assert number, "Xvfb gave no display"
        yield f":{number}"


@contextlib.asynccontextmanager
async def running(
    command: Sequence[str], *, stdout: int = asyncio.subprocess.DEVNULL
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that leads a group of its own. The whole group is ended: asked first, killed after END_S."""
    process = await start_tethered(command, stdout=stdout, stderr=asyncio.subprocess.DEVNULL)
    try:
        yield process
    finally:
        _signal(process.pid, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), END_S)
        _signal(process.pid, signal.SIGKILL)
        await process.wait()


def _signal(group: int, which: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, which)


@contextlib.asynccontextmanager
async def asleep(pids: Sequence[int]) -> AsyncIterator[None]:
    """Stops the processes, as a computer's sleep does, until the block is left. Their connections stay open."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        await eventually(lambda: all(_stat(pid)[0] == "T" for pid in pids))
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def descendants(pid: int) -> list[int]:
    """All processes that the process has started, and those that they have started, from the top"""
    children: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it has ended meanwhile
                children.setdefault(int(_stat(int(entry.name))[1]), []).append(int(entry.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found[1:]


def program_of(pid: int) -> str:
    """The path of the program that the process runs; empty if it has ended"""
    try:
        return str(Path(f"/proc/{pid}/exe").readlink())
    except OSError:
        return ""


def _stat(pid: int) -> list[str]:
    """State, parent, and so on: proc(5). The name before them may contain blanks and brackets."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
