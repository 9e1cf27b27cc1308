"""The yardstick: a loop over send() in C (bare.c), and nothing else."""

import asyncio
import contextlib
import os
import sys
from contextlib import AsyncExitStack

import msgspec

from scripts.benches.building import CannotBuild, build
from scripts.benches.contender import Contender
from scripts.benches.schedule import Schedule, frame_parts
from scripts.processes import ROOT


class Bare(Contender):
    name = "c"
    about = "a bare send() loop in C: no routing, no history, no resuming"
    path = "/"

    @staticmethod
    def prepare() -> str:
        try:
            build("bare")
        except CannotBuild as error:
            return str(error)
        return ""

    async def start(self, stack: AsyncExitStack) -> None:
        tether = str(ROOT / "scripts" / "tether.py")
        self._child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-S", "-E", tether, str(os.getpid())),
            *(str(build("bare")), str(self.viewers), *frame_parts()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        stack.push_async_callback(self._end)
        self.port = (await self._answer())["port"]
        self.pids = [self._child.pid]
        self.viewers_pid = self._child.pid

    async def publish(self, schedule: Schedule) -> int:
        assert self._child.stdin
        self._child.stdin.write(f"{schedule.start_ns} {schedule.rate} {schedule.count}\n".encode())
        return (await self._answer())["finished_ns"]

    async def _answer(self) -> dict[str, int]:
        assert self._child.stdout
        line = await self._child.stdout.readline()
        return msgspec.json.decode(line, type=dict[str, int])

    async def _end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._child.kill()
        await self._child.wait()
