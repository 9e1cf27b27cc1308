"""Many joins at once: what a hot video's backfill costs the RMS."""

import time
from dataclasses import replace

import msgspec

from scripts.benches import procfs
from scripts.benches.audience import Audience
from scripts.benches.config import BENCH
from scripts.benches.ours import RmsWithPast


class Joins(msgspec.Struct, frozen=True):
    joins: int
    at_once: int  # handshakes under way at one time, as many as the kernel's backlog takes
    seconds: float
    cpu_s: float  # of the RMS
    store_reads: int  # of the RMS, from its start on
    backfill: int  # comments that each of them should get at once
    lost: int  # of these, over all of them
    doubled: int
    rss_bytes_per_viewer: float

    def line(self) -> str:
        return (
            f"{self.joins:,} joins, {self.at_once:,} at once, {self.backfill} comments of backfill each: "
            f"{self.cpu_s:.2f} s of the RMS's CPU, {self.seconds:.2f} s in all, {self.store_reads} reads of the store, "
            f"lost={self.lost} doubled={self.doubled}"
        )


async def measure_joins(count: int) -> Joins:
    """Raises what the RMS's start or the joins raise."""
    at_once = min(count, procfs.backlog_max())
    settings, backfill = replace(BENCH, in_flight=at_once), BENCH.joins_backfill
    async with RmsWithPast(count) as server:
        rss_empty, cpu_s = server.rss_bytes(), procfs.cpu_s(server.viewers_pid)
        async with Audience(
            server.port, server.path, viewers=count, comments_max=backfill, settings=settings
        ) as audience:
            began_s = time.monotonic()
            await audience.connect()
            await audience.wait_for(backfill, settings.drain_s)
            seconds = time.monotonic() - began_s
            cpu_s = procfs.cpu_s(server.viewers_pid) - cpu_s
            report = await audience.report(backfill)
            return Joins(
                joins=count,
                at_once=at_once,
                seconds=seconds,
                cpu_s=cpu_s,
                store_reads=int(await server.metric("rms_history_reads_total")),
                backfill=backfill,
                lost=report.lost,
                doubled=report.doubled,
                rss_bytes_per_viewer=(server.rss_bytes() - rss_empty) / count,
            )
