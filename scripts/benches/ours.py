"""Our own RMS on its whole real path: a dispatcher and an RMS as processes, gRPC in, SSE out."""

import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from history.core.ids import IdSource
from history.core.model import Author, Comment
from history.opening import open_store
from scripts.benches.config import BENCH
from scripts.benches.contender import Contender, pid_of
from scripts.benches.publishing import publish_grpc
from scripts.benches.schedule import VIDEO, Schedule
from scripts.plan import free_ports, make_plan


class Rms(Contender):
    name = "rms"
    about = "this project: dispatcher and RMS, gRPC in, SSE out"
    path = f"/comments/{VIDEO}"
    past: Schedule | None = None
    """comments that the video has when the first viewer comes"""

    async def start(self, stack: AsyncExitStack) -> None:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-rms-")))
        self.store = f"sqlite:{folder / 'comments.db'}"
        await _fill(self.store, self.past)
        plan = make_plan(
            dispatchers=1,
            rms=1,
            comment_services=0,
            store=self.store,
            data=folder,
            ports=free_ports(2),
            log_format="json",
        )
        (dispatcher,), (rms,) = plan["dispatcher"], plan["rms"]
        processes = [await self.run(stack, part.name, part.command, part.is_ready) for part in (dispatcher, rms)]
        self._dispatcher = dispatcher.address
        self.port = int(rms.address.rpartition(":")[2])
        self.pids = [pid_of(process) for process in processes]
        self.viewers_pid = self.pids[-1]

    async def publish(self, schedule: Schedule) -> int:
        return await publish_grpc(self._dispatcher, schedule)

    async def longest_hold_ms(self) -> float:
        return 1_000 * await self.metric("rms_longest_slice_seconds")

    async def metric(self, name: str) -> float:
        """A number out of the node's metrics. Raises KeyError, aiohttp.ClientError."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.port}/metrics") as answer,
        ):
            families = text_string_to_metric_families(await answer.text())
        return {sample.name: sample.value for family in families for sample in family.samples}[name]


class RmsWithPast(Rms):
    """The same with a video that people have talked about: a joiner gets its last comments first."""

    past = Schedule(start_ns=0, rate=1, count=BENCH.joins_backfill)


async def _fill(url: str, past: Schedule | None) -> None:
    """Makes the store's tables; and before the past, which is numbered, there are as many comments that are not."""
    ids, now_ms = IdSource(1), time.time_ns() // 1_000_000
    messages = ["before"] * past.count + [past.line(number).text for number in range(past.count)] if past else []
    comments = [Comment(ids.next(now_ms), VIDEO, Author("u2", "u2"), message, now_ms) for message in messages]
    store = await open_store(url)
    try:
        await store.append(comments)
    finally:
        await store.close()
