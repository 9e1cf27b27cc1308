"""scripts/benches/contender.py"""

import sys
from contextlib import AsyncExitStack
from functools import partial

import pytest

from scripts.benches.contender import Contender, listens, pid_of
from scripts.benches.schedule import Schedule
from scripts.plan import free_ports
from scripts.processes import NotReady

SERVER = (
    "import socket, sys, time\ns = socket.create_server(('127.0.0.1', {port}))\nprint('up', flush=True)\ntime.sleep(99)"
)


class Plain(Contender):
    name = "plain"
    code = SERVER

    async def start(self, stack: AsyncExitStack) -> None:
        (self.port,) = free_ports(1)
        command = (sys.executable, "-S", "-c", self.code.format(port=self.port))
        process = await self.run(stack, self.name, command, partial(listens, self.port))
        self.pids = [self.viewers_pid] = [pid_of(process)]

    async def publish(self, schedule: Schedule) -> int:
        return 0


class Broken(Plain):
    code = "raise SystemExit('no')"


async def test_a_contender_ends_with_its_block() -> None:
    async with Plain(1) as server:
        assert await listens(server.port)
        assert server.rss_bytes() > 0
        assert server.cpu_s() >= 0
        assert Plain.prepare() == ""
    assert not await listens(server.port)


async def test_one_that_does_not_start_is_told() -> None:
    broken = Broken(1)
    with pytest.raises(NotReady) as raised:
        await broken.__aenter__()
    assert raised.value.__notes__ == ["plain: no"]
