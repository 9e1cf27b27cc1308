"""Starts Xvfb, a screen in memory, for browsers that can't do without one, and ends what was started on it."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Sequence

from scripts.processes import start_tethered

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


def descendants(pid: int) -> list[int]:
    """All processes that the process has started, and those that they have started, from the top"""
    children: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError), open(f"/proc/{entry.name}/stat") as file:
            parent = int(file.read().rpartition(")")[2].split()[1])  # a name may contain blanks and brackets
            children.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found[1:]
