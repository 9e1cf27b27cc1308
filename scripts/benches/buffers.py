"""The step between: no task and no queue of ours, but a transport and its buffer for each viewer (buffers_app.py)."""

import sys
from contextlib import AsyncExitStack
from functools import partial

from scripts.benches.config import BENCH
from scripts.benches.contender import Contender, listens, pid_of
from scripts.benches.publishing import publish_http
from scripts.benches.schedule import Schedule
from scripts.plan import free_ports


class Buffers(Contender):
    name = "buffers"
    about = "asyncio protocols, uvloop: a transport and a buffer for each viewer"
    path = "/events"

    async def start(self, stack: AsyncExitStack) -> None:
        (self.port,) = free_ports(1)
        command = (sys.executable, "-P", "-m", "scripts.benches.buffers_app", str(self.port))
        process = await self.run(stack, self.name, command, partial(listens, self.port))
        self.pids = [pid_of(process)]
        self.viewers_pid = self.pids[0]

    async def publish(self, schedule: Schedule) -> int:
        return await publish_http(f"http://127.0.0.1:{self.port}/publish", schedule, BENCH.http_publishers)
