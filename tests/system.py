"""Runs the whole system as real processes on free ports, for the end-to-end tests, with the code of scripts/run.

Leaving the `async with` is a test, too: every process that was not killed must exit with 0 on SIGTERM, and no log may
contain an error or a traceback.
"""

import json
import signal
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from scripts.plan import ROLES, Part, free_ports, make_plan, ports_of
from scripts.processes import Process, ProcessSupervisor
from tests.waiting import eventually

TAIL_LINES = 15  # of each log, shown when a test fails


class System:
    """restart=True: a process that dies is restarted, as by scripts/run. command_of: what is run for a part."""

    def __init__(
        self,
        *,
        dispatchers: int = 2,
        rms: int = 2,
        comment_services: int = 1,
        door: bool = False,
        tls: Path | None = None,
        store: str | None = None,
        restart: bool = True,
        more_flags: Callable[[str], Sequence[str]] = lambda role: (),
        command_of: Callable[[Part], Sequence[str]] = lambda part: part.command,
    ) -> None:
        self.logs: dict[str, list[str]] = defaultdict(list)
        self._folder = tempfile.TemporaryDirectory(prefix="livecomments-")
        self.data = Path(self._folder.name)
        self.plan = make_plan(
            dispatchers=dispatchers,
            rms=rms,
            comment_services=comment_services,
            door=door,
            tls=tls,
            store=store or f"sqlite:{self.data / 'comments.db'}",
            data=self.data,
            ports=free_ports(ports_of(dispatchers=dispatchers, rms=rms, comment_services=comment_services, door=door)),
            log_format="json",
            more_flags=more_flags,
        )
        self.base_url = self.plan.base_url
        self.operators_url = f"http://{self.plan['comment-service'][0].operators}"
        """of the first comment_service"""
        self._groups = {
            role: [
                Process(part.name, command_of(part), is_ready=part.is_ready, on_output=self._note)
                for part in self.plan[role]
            ]
            for role in ROLES
        }
        self._supervisor = ProcessSupervisor(list(self._groups.values()), restart=restart, say=self._note)

    def process(self, role: str, number: int = 1) -> Process:
        """number: within the role, from 1"""
        return self._groups[role][number - 1]

    async def kill(self, role: str, number: int = 1, how: signal.Signals = signal.SIGKILL) -> None:
        """Returns when the process is dead."""
        process = self.process(role, number)
        before = len(process.returncodes)
        process.signal(how)
        if len(process.returncodes) == before:
            await process.wait()

    async def start_again(self, role: str, number: int = 1) -> None:
        """For restart=False: starts the process, and returns when it is ready."""
        process = self.process(role, number)
        await process.start()
        await process.wait_ready()

    async def back_again(self, role: str, number: int = 1) -> None:
        """For restart=True, after a kill: returns when the restarted process is ready."""
        process = self.process(role, number)
        await eventually(lambda: process.pid is not None)
        await process.wait_ready()

    def errors(self) -> list[str]:
        """Lines of any log that show a fault in our code: errors, warnings of Python, and tracebacks"""
        return [f"{name}: {line}" for name, lines in self.logs.items() for line in lines if _is_error(line)]

    async def __aenter__(self) -> Self:
        try:
            await self._supervisor.start()
        except BaseException as error:
            error.add_note(self._tails())
            await self._supervisor.stop()
            self._folder.cleanup()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        clean = await self._supervisor.stop()
        self._folder.cleanup()
        if error is not None:
            error.add_note(self._tails())
            return
        assert clean, f"a process did not end with 0\n{self._tails()}"
        assert not self.errors(), "\n".join(self.errors())

    def _note(self, name: str, line: str) -> None:
        self.logs[name].append(line)

    def _tails(self) -> str:
        return "\n".join(f"{name}: {line}" for name, lines in self.logs.items() for line in lines[-TAIL_LINES:])


def _is_error(line: str) -> bool:
    try:
        return bool(json.loads(line)["level"] in ("error", "critical"))
    except (ValueError, KeyError, TypeError):
        return "Traceback" in line or "Error" in line or "Warning" in line
