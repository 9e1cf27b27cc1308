"""One run: one server, one audience, one rate; what came of it, and the medians of several such runs."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median

import msgspec

from scripts.benches import procfs
from scripts.benches.audience import Audience
from scripts.benches.config import BENCH, BenchSettings
from scripts.benches.contender import Contender
from scripts.benches.schedule import Line, Schedule
from scripts.benches.viewers import Report


class Figures(msgspec.Struct, frozen=True):
    """Of one run, or the medians of several; of losses, doubles and the like the worst run, so that none is hidden."""

    server: str
    rate: float  # comments/s that were due
    viewers: int  # who read
    idle: int  # who never read
    gzip: bool
    frame_bytes: float  # on the wire, with what the protocol adds
    deliveries_per_s: float  # that arrived, from the first due time to the last arrival
    delivered: float  # share of all deliveries that had arrived when the last comment's time was over
    falls_behind: bool
    lost: int
    doubled: int
    disordered: int
    ended: int  # viewers whose stream ended
    p50_ms: float
    p90_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    cpu_s_per_million: float  # of all the server's processes, for a million deliveries
    viewers_cpu_s_per_million: float  # of the load generator
    connect_s: float
    rss_bytes_per_viewer: float  # once all were connected, above the process before the first one
    rss_end_bytes: int
    longest_hold_ms: float  # for which a sweep held the server's event loop; 0: it doesn't tell
    tcp_bytes: int  # in the buffers of all sockets of the machine at the end


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked of a server."""

    viewers: int
    rate: float
    seconds: float
    idle: int = 0
    gzip: bool = False
    lines: tuple[Line, ...] | None = None  # what is said; None: the same short line again and again

    @property
    def comments(self) -> int:
        return max(1, round(self.rate * self.seconds))


async def run(kind: type[Contender], load: Load, settings: BenchSettings = BENCH) -> Figures:
    """Starts the server, lets the viewers in, publishes, waits for what is on its way, ends all.

    Raises what the server's start or the viewers' entry raises.
    """
    async with kind(load.viewers + load.idle) as server:
        rss_empty = server.rss_bytes()
        async with Audience(
            server.port,
            server.path,
            viewers=load.viewers,
            idle=load.idle,
            comments_max=load.comments,
            gzip=load.gzip,
            settings=settings,
        ) as audience:
            connect_s = await audience.connect()
            rss_full, cpu_s = server.rss_bytes(), server.cpu_s()
            start_ns = time.monotonic_ns() + int(settings.lead_s * 1e9)
            schedule = Schedule(start_ns, load.rate, load.comments)
            if load.lines:
                schedule = replace(schedule, lines=load.lines)
            taken_ns = await _publish(server, schedule, settings)
            rest_s = (schedule.end_ns - time.monotonic_ns()) / 1e9 + settings.drain_s
            if await audience.wait_for(schedule.count, max(0.0, rest_s)):
                await asyncio.sleep(settings.settle_s)
            return figures(
                kind.name,
                load,
                schedule,
                taken_ns,
                await audience.report(schedule.count),
                connect_s=connect_s,
                cpu_s=server.cpu_s() - cpu_s,
                rss=(rss_empty, rss_full, server.rss_bytes()),
                longest_hold_ms=await server.longest_hold_ms(),
                settings=settings,
            )


async def _publish(server: Contender, schedule: Schedule, settings: BenchSettings) -> int:
    """When the server had taken all, in monotonic ns; or when it was given up waiting for that."""
    try:
        async with asyncio.timeout(settings.lead_s + schedule.seconds + settings.drain_s):
            return await server.publish(schedule)
    except TimeoutError:
        return time.monotonic_ns()


def figures(
    server: str,
    load: Load,
    schedule: Schedule,
    taken_ns: int,
    report: Report,
    *,
    connect_s: float,
    cpu_s: float,
    rss: tuple[int, int, int],
    longest_hold_ms: float = 0.0,
    settings: BenchSettings = BENCH,
) -> Figures:
    """taken_ns: when the server had taken the last comment. rss: empty, with all viewers, at the end."""
    wanted = report.viewers * schedule.count
    delivered = min(1.0, report.timeline.until(schedule.end_ns) / wanted)
    late_s = max(0, taken_ns - schedule.end_ns) / 1e9
    lasted_s = max(schedule.end_ns, report.last_ns) - schedule.start_ns
    millions = max(report.deliveries, 1) / 1e6
    empty, full, end = rss
    return Figures(
        server=server,
        rate=load.rate,
        viewers=report.viewers,
        idle=report.idle,
        gzip=load.gzip,
        frame_bytes=report.bytes / max(report.deliveries, 1),
        deliveries_per_s=report.deliveries / (lasted_s / 1e9),
        delivered=delivered,
        falls_behind=delivered < settings.kept_up or late_s > settings.publisher_late * schedule.seconds,
        lost=report.lost,
        doubled=report.doubled,
        disordered=report.disordered,
        ended=report.ended,
        p50_ms=report.percentile_ms(0.5),
        p90_ms=report.percentile_ms(0.9),
        p99_ms=report.percentile_ms(0.99),
        p999_ms=report.percentile_ms(0.999),
        max_ms=report.max_us / 1000,
        cpu_s_per_million=cpu_s / millions,
        viewers_cpu_s_per_million=report.cpu_s / millions,
        connect_s=connect_s,
        rss_bytes_per_viewer=(full - empty) / (report.viewers + report.idle),
        rss_end_bytes=end,
        longest_hold_ms=longest_hold_ms,
        tcp_bytes=procfs.tcp_bytes(),
    )


WORST = ("lost", "doubled", "disordered", "ended")


def medians(runs: Sequence[Figures]) -> Figures:
    """Of runs with the same server and load; at least one"""
    first = runs[0]

    def of(name: str) -> object:
        values = [getattr(each, name) for each in runs]
        if isinstance(values[0], bool):
            return sum(values) * 2 > len(values)
        if isinstance(values[0], str):
            return values[0]
        middle: Callable[[Sequence[float]], float] = max if name in WORST else median
        return type(values[0])(middle(values))

    return msgspec.structs.replace(first, **{name: of(name) for name in Figures.__struct_fields__})
