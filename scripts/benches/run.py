"""Measures one run: one server, one audience, one rate; and takes the medians of several such runs."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, fields, replace
from statistics import median
from typing import Any

from scripts.benches import procfs
from scripts.benches.config import FANOUT, FanoutSettings
from scripts.benches.schedule import Line, Schedule, soon
from scripts.benches.servers import CONTENDERS
from scripts.benches.viewers import Report, an_audience


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked of a server."""

    viewers: int
    rate: float  # comments/s
    seconds: float
    idle: int = 0  # further viewers, who never read
    gzip: bool = False
    lines: tuple[Line, ...] | None = None  # what is said; None: the same short line again and again

    @property
    def comments(self) -> int:
        return max(1, round(self.rate * self.seconds))


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one run, or the medians of several; of losses, doubles and ends the worst run, so that none is hidden."""

    server: str
    load: Load
    deliveries_per_s: float  # that arrived, from the first due time to the last arrival
    falls_behind: bool
    lost: int
    doubled: int
    ended: int  # viewers whose stream ended
    p50_ms: float
    p99_ms: float
    p999_ms: float
    frame_bytes: float  # on the wire, with what the protocol adds
    cpu_s_per_million: float  # of all the server's processes, for a million deliveries
    rss_bytes_per_viewer: float = 0.0  # once all were connected, above the process before the first one
    rss_end_bytes: float = 0.0
    longest_hold_ms: float = 0.0  # for which a sweep held the server's event loop; 0: it doesn't say
    tcp_bytes: float = 0.0  # in the buffers of all sockets of the machine at the end


WORST = ("lost", "doubled", "ended")


async def run(name: str, load: Load, settings: FanoutSettings = FANOUT) -> Figures:
    """Starts the server, lets the viewers in, publishes, waits for what is on its way, ends all.

    Raises what the server's start or the viewers' entry raises.
    """
    together = load.viewers + load.idle
    async with CONTENDERS[name](together) as server:
        empty_bytes = procfs.rss_bytes(server.pid)
        async with an_audience(server.path, together, load.comments, gzip=load.gzip, settings=settings) as audience:
            await audience.connect(load.viewers, server.port, load.idle)
            full_bytes, cpu_s = procfs.rss_bytes(server.pid), server.cpu_s()
            schedule = Schedule(soon(settings.lead_s), load.rate, load.comments)
            if load.lines:
                schedule = replace(schedule, lines=load.lines)
            await audience.deadline(schedule.end_ns)
            blocked_s = await publish(server.publish, schedule, settings)
            await audience.settle(schedule, settings)
            report = await audience.report(schedule.count)
            measured = figures(name, load, schedule, report, blocked_s, server.cpu_s() - cpu_s, settings)
            return replace(
                measured,
                rss_bytes_per_viewer=(full_bytes - empty_bytes) / together,
                rss_end_bytes=procfs.rss_bytes(server.pid),
                longest_hold_ms=1_000 * await server.metric("rms_longest_slice_seconds") if name == "rms" else 0.0,
                tcp_bytes=procfs.tcp_bytes(),
            )


async def publish(
    publisher: Callable[[Schedule], Awaitable[object]], schedule: Schedule, settings: FanoutSettings = FANOUT
) -> float:
    """Returns for how many seconds after the schedule's end the server was still taking comments."""
    try:
        async with asyncio.timeout(settings.lead_s + schedule.seconds + settings.drain_s):
            await publisher(schedule)
    except TimeoutError:
        pass  # it is given up; the figures show it
    return max(0, time.monotonic_ns() - schedule.end_ns) / 1e9


def figures(
    server: str,
    load: Load,
    schedule: Schedule,
    report: Report,
    blocked_s: float,
    cpu_s: float,
    settings: FanoutSettings = FANOUT,
) -> Figures:
    """What the viewers' report says, without what the server and the machine say of themselves.

    blocked_s: for how long the publisher was still busy after the schedule's end. cpu_s: of the server.
    """
    delivered = report.in_time / (report.viewers * schedule.count)
    lasted_s = (max(schedule.end_ns, report.last_ns) - schedule.start_ns) / 1e9
    return Figures(
        server=server,
        load=load,
        deliveries_per_s=report.deliveries / lasted_s,
        falls_behind=delivered < settings.kept_up or blocked_s > settings.publisher_blocked * schedule.seconds,
        lost=report.lost,
        doubled=report.doubled,
        ended=report.ended,
        p50_ms=report.percentile_ms(0.5),
        p99_ms=report.percentile_ms(0.99),
        p999_ms=report.percentile_ms(0.999),
        frame_bytes=report.bytes / max(report.deliveries, 1),
        cpu_s_per_million=cpu_s / max(report.deliveries, 1) * 1e6,
    )


def medians(runs: Sequence[Figures]) -> Figures:
    """Of runs with the same server and load; at least one"""
    middle: dict[str, Any] = {}
    for field in fields(Figures)[2:]:
        values = [getattr(each, field.name) for each in runs]
        middle[field.name] = max(values) if field.name in WORST else median(values)
    middle["falls_behind"] = middle["falls_behind"] > 0.5
    return replace(runs[0], **middle)
