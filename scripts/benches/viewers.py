"""Starts processes of viewers.c, has them connect, and asks what their viewers got."""

import asyncio
import ipaddress
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec

from scripts.benches.building import build
from scripts.benches.config import FANOUT, FanoutSettings
from scripts.benches.running import BenchFailed, Child
from scripts.benches.schedule import Schedule

_FIRST_SOURCE = ipaddress.IPv4Address("127.1.0.1")
_SOURCES_EACH = 16  # addresses for one process: it takes one for every 10,000 of its viewers


class Report(msgspec.Struct, frozen=True):
    """What some viewers got. `latency_us` has (latency, deliveries) pairs, rounded up by at most a 64th."""

    viewers: int  # who read
    idle: int  # who never read
    ended: int  # whose stream has ended, though nobody asked for it
    deliveries: int
    in_time: int  # of these, until the deadline
    lost: int
    doubled: int
    disordered: int
    misplaced: int  # comments of another video
    unmarked: int  # comments of others: a backfill
    bytes: int
    last_ns: int  # CLOCK_MONOTONIC
    latency_us: list[tuple[int, int]]

    def since(self, before: "Report") -> "Report":
        """What was counted after that earlier report of the same viewers. `lost` stays: it counts all that is due."""
        counts = dict(before.latency_us)
        left = [(us, count - counts.get(us, 0)) for us, count in self.latency_us]
        fields = ("deliveries", "in_time", "doubled", "disordered", "misplaced", "unmarked", "bytes", "ended")
        changed = {name: getattr(self, name) - getattr(before, name) for name in fields}
        return msgspec.structs.replace(self, latency_us=[(us, count) for us, count in left if count], **changed)

    def percentile_ms(self, share: float) -> float:
        """The latency that this share of the deliveries didn't exceed; 0 without deliveries"""
        wanted, so_far = share * self.deliveries, 0
        for us, count in self.latency_us:
            so_far += count
            if so_far >= wanted:
                return us / 1000
        return 0.0


class Connected(msgspec.Struct, frozen=True):
    connected: int
    refused: int
    reason: str


class _Awaited(msgspec.Struct, frozen=True):
    complete: bool


class Viewers(Child):
    """One process of viewers. One order at a time; each raises BenchFailed."""

    def __init__(
        self,
        number: int,
        path: str,
        comments_max: int,
        *,
        gzip: bool = False,
        videos: int = 0,
        settings: FanoutSettings = FANOUT,
    ) -> None:
        """number: of this process, which gives it source addresses of its own. comments_max: numbers that may come.
        videos: 0, or so many that they watch in turn; then they come back after a cut, see viewers.c."""
        source = _FIRST_SOURCE + number * _SOURCES_EACH
        numbers = (comments_max, settings.in_flight, settings.receive_bytes)
        command = (str(build("viewers")), path, str(source), *map(str, numbers), "gzip" if gzip else "plain")
        super().__init__(f"viewers {number}", (*command, str(videos)))
        self._settings = settings
        self.viewers = 0  # connected and reading

    async def connect(self, count: int, port: int) -> Connected:
        """Returns when each of `count` viewers has its stream, or was refused."""
        answer = await self.ask(f"connect {count} {port}", Connected, self._settings.connect_timeout_s)
        self.viewers += answer.connected
        return answer

    async def idle(self, count: int, port: int) -> Connected:
        """Connects viewers who ask for the stream and never read."""
        return await self.ask(f"idle {count} {port}", Connected, self._settings.connect_timeout_s)

    async def deadline(self, at_ns: int) -> None:
        """What comes later (CLOCK_MONOTONIC) isn't in time."""
        await self.ask(f"deadline {at_ns}", dict[str, int], self._settings.answer_timeout_s)

    async def wait_for(self, comments: int, timeout_s: float) -> bool:
        """True: every reading viewer has the first `comments` comments. False: not in this time."""
        order = f"await {comments} {int(timeout_s * 1000)}"
        return (await self.ask(order, _Awaited, timeout_s + self._settings.answer_timeout_s)).complete

    async def report(self, comments: int) -> Report:
        """Everything counted so far; `lost` against the first `comments` comments"""
        return await self.ask(f"report {comments}", Report, self._settings.answer_timeout_s)


class Audience:
    """All viewers of one server, in several processes"""

    def __init__(self, processes: Sequence[Viewers]) -> None:
        self.processes = processes

    async def connect(self, viewers: int, port: int, idle: int = 0) -> None:
        """Returns when all have their stream. Raises BenchFailed if the server refuses one."""
        for orders, count in ([p.idle for p in self.processes], idle), ([p.connect for p in self.processes], viewers):
            shares = [count // len(orders) + (number < count % len(orders)) for number in range(len(orders))]
            pairs = zip(orders, shares, strict=True)
            for answer in await asyncio.gather(*(order(share, port) for order, share in pairs if share)):
                if answer.refused:
                    whole = answer.connected + answer.refused
                    raise BenchFailed(f"{answer.refused} of {whole} viewers did not get a stream: {answer.reason}")

    async def deadline(self, at_ns: int) -> None:
        await asyncio.gather(*(process.deadline(at_ns) for process in self.processes))

    async def wait_for(self, comments: int, timeout_s: float) -> bool:
        """True: everybody who reads has the first `comments` comments."""
        return all(await asyncio.gather(*(process.wait_for(comments, timeout_s) for process in self.processes)))

    async def settle(self, schedule: Schedule, settings: FanoutSettings = FANOUT) -> None:
        """Returns when all have all of the schedule's comments and those before, and a doubled one would have come; or
        when it is given up."""
        rest_s = (schedule.end_ns - time.monotonic_ns()) / 1e9 + settings.drain_s
        if await self.wait_for(schedule.first + schedule.count, max(0.0, rest_s)):
            await asyncio.sleep(settings.settle_s)

    async def report(self, comments: int) -> Report:
        return merge(await asyncio.gather(*(process.report(comments) for process in self.processes)))


@asynccontextmanager
async def an_audience(
    path: str, viewers: int, comments_max: int, *, gzip: bool = False, settings: FanoutSettings = FANOUT
) -> AsyncIterator[Audience]:
    """As many processes as the limit of open files asks for; nobody is connected yet. On leaving, all are gone."""
    async with AsyncExitStack() as stack:
        processes = [
            await stack.enter_async_context(Viewers(number, path, comments_max, gzip=gzip, settings=settings))
            for number in range(max(1, -(-viewers // settings.viewers_per_process_max)))
        ]
        yield Audience(processes)


def merge(reports: Sequence[Report]) -> Report:
    """What all viewers of several processes got. At least one report."""
    latency: Counter[int] = Counter()
    for report in reports:
        for us, count in report.latency_us:
            latency[us] += count
    others = set(Report.__struct_fields__) - {"latency_us", "last_ns"}
    totals = {name: sum(getattr(report, name) for report in reports) for name in others}
    return Report(**totals, last_ns=max(report.last_ns for report in reports), latency_us=sorted(latency.items()))
