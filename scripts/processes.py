"""Supervises child processes: starts them, restarts those that die, and ends them in the right order.

scripts/run and the end-to-end tests start the services with it. Each child ends with its parent, whatever happens
to the parent (see scripts/tether.py).
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from scripts.config import SUPERVISOR, SupervisorSettings

ROOT = Path(__file__).resolve().parent.parent
_TETHER = str(Path(__file__).with_name("tether.py"))

Say = Callable[[str, str], object]
"""Takes a process's name and one line: a line of its output, or a message about it."""


class NotReady(Exception):
    """A process ended, or the time was over, before it was ready."""


async def _untold() -> str:
    return ""


async def start_tethered(command: Sequence[str], root: Path = ROOT, **options: Any) -> asyncio.subprocess.Process:
    """Starts a process that ends with this one. `options` are those of asyncio.create_subprocess_exec.

    It runs in the project's folder, or in `root`, another checkout, with that one's code; and in a session of its own:
    Ctrl-C in the terminal is for us.
    """
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-S", "-E", _TETHER, str(os.getpid()), *command),
        start_new_session=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        **options,
    )


class Process:
    """One command that can be started again and again; each run is a *life* with a pid.

    name: for people, `rms-1`. trouble: says why it isn't ready; asked once, when the time is over.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        is_ready: Callable[[], Awaitable[bool]],
        on_output: Say,
        trouble: Callable[[], Awaitable[str]] = _untold,
        root: Path = ROOT,
        settings: SupervisorSettings = SUPERVISOR,
    ) -> None:
        self.name = name
        self._root = root
        self.returncodes: list[int] = []  # of the lives that have ended
        self._command = command
        self._is_ready = is_ready
        self._trouble = trouble
        self._on_output = on_output
        self._settings = settings
        self._child: asyncio.subprocess.Process | None = None
        self._over: asyncio.Task[int] | None = None  # ends with the life
        self._was_ready = False

    @property
    def pid(self) -> int | None:
        """None: it isn't running"""
        return self._child.pid if self._child and self._over and not self._over.done() else None

    async def start(self) -> None:
        """Returns as soon as the process exists."""
        assert self.pid is None, f"{self.name} is running"
        self._was_ready = False
        self._child = await start_tethered(
            self._command,
            self._root,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self._over = asyncio.create_task(self._live(self._child))

    async def wait_ready(self) -> None:
        """Returns when the process is ready. Raises NotReady if it ends before that, or takes too long."""
        try:
            async with asyncio.timeout(self._settings.ready_timeout_s):
                while self.pid is not None:
                    if await self._is_ready():
                        self._was_ready = True
                        return
                    await asyncio.sleep(self._settings.ready_poll_s)
        except TimeoutError:
            why = await self._trouble()
            raise NotReady(
                f"{self.name} was not ready after {self._settings.ready_timeout_s:.0f} s{why and f': {why}'}"
            ) from None
        raise NotReady(f"{self.name} has {ending(self.returncodes[-1])} before it was ready")

    async def wait(self) -> int:
        """Waits until the current life ends. Returns its return code (negative: the signal that ended it)."""
        assert self._over is not None, f"{self.name} was never started"
        return await asyncio.shield(self._over)

    def signal(self, number: signal.Signals) -> None:
        """Does nothing if it isn't running."""
        if self._child and self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                self._child.send_signal(number)

    async def stop(self) -> bool:
        """SIGTERM, and SIGKILL when that has not helped in time. True: it was not running, or has ended as it should.

        That is with 0; or by the signal itself, if it was not ready yet: it may not have got as far as to handle it.
        """
        if self.pid is None:
            return True
        self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(self._settings.stop_timeout_s):
                code = await self.wait()
        except TimeoutError:
            self._on_output(self.name, f"did not end in {self._settings.stop_timeout_s:.0f} s: killed")
            self.signal(signal.SIGKILL)
            code = await self.wait()
        clean = code == 0 or (code == -signal.SIGTERM and not self._was_ready)
        if not clean:
            self._on_output(self.name, f"has {ending(code)}")
        return clean

    async def _live(self, child: asyncio.subprocess.Process) -> int:
        assert child.stdout is not None
        async for line in _lines(child.stdout, self._settings.line_bytes_max):
            self._on_output(self.name, line)
        code = await child.wait()
        self.returncodes.append(code)
        return code


class ProcessSupervisor:
    """Starts groups of processes in order, restarts processes that die, and ends the groups in reverse order."""

    def __init__(
        self,
        groups: Sequence[Sequence[Process]],
        *,
        restart: bool,
        say: Say,
        settings: SupervisorSettings = SUPERVISOR,
    ) -> None:
        self.processes = [process for group in groups for process in group]
        self._groups = groups
        self._restart = restart
        self._say = say
        self._settings = settings
        self._guards: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Returns when all are ready. Raises NotReady; then, too, `stop` must be called."""
        for group in self._groups:
            for process in group:
                await process.start()
            await asyncio.gather(*(process.wait_ready() for process in group))
        for process in self.processes:
            guard = asyncio.create_task(self._guard(process), name=process.name)
            guard.add_done_callback(self._guard_ended)
            self._guards.append(guard)

    async def stop(self) -> bool:
        """Ends all groups, one after another, the last one first. Returns True if all ended cleanly."""
        for guard in self._guards:
            guard.cancel()
        await asyncio.gather(*self._guards, return_exceptions=True)
        clean = [await asyncio.gather(*(process.stop() for process in group)) for group in reversed(self._groups)]
        return all(map(all, clean))

    def kill(self) -> None:
        """Ends all processes at once, with SIGKILL."""
        for process in self.processes:
            process.signal(signal.SIGKILL)

    def _guard_ended(self, guard: asyncio.Task[None]) -> None:
        if not guard.cancelled() and (error := guard.exception()):
            self._say(guard.get_name(), f"can't be started again: {error!r}")

    async def _guard(self, process: Process) -> None:
        wait_s = self._settings.restart_first_s
        loop = asyncio.get_running_loop()
        while True:
            born_s = loop.time()
            how = ending(await process.wait())
            if not self._restart:
                self._say(process.name, f"has {how}, and is not started again (--no-restart)")
                return
            if loop.time() - born_s >= self._settings.healthy_after_s:
                wait_s = self._settings.restart_first_s
            self._say(process.name, f"has {how}; starting it again in {wait_s:.1f} s")
            await asyncio.sleep(wait_s)
            wait_s = min(self._settings.restart_max_s, 2 * wait_s)
            try:
                await process.start()
            except OSError as error:
                self._say(process.name, f"can't be started: {error}")
                continue
            self._say(process.name, f"started again, pid {process.pid}")


def ending(returncode: int) -> str:
    """'ended with exit code 1', 'been ended by SIGKILL'"""
    if returncode < 0:
        return f"been ended by {signal.Signals(-returncode).name}"
    return f"ended with exit code {returncode}"


async def _lines(stream: asyncio.StreamReader, bytes_max: int) -> AsyncIterator[str]:
    """Lines without their line ends, also a last line that has none. A line over `bytes_max` comes in pieces."""
    rest = b""
    while chunk := await stream.read(bytes_max):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace")
        if len(rest) >= bytes_max:
            yield rest.decode(errors="replace")
            rest = b""
    if rest:
        yield rest.decode(errors="replace")
