"""Gives the node's statistics in Prometheus' form. They are read when they are scraped, and cost nothing else."""

import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.core import CollectorRegistry, CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from proto.clock_watch import ClockStatistics, clock_offsets
from proto.replicas import replica_numbers
from rms.sending.sweep_counts import SLICE_MS_BOUNDS, SLICE_SENDS_BOUNDS, SweepStatistics
from rms.upstream.link import LinkStatistics


@dataclass(frozen=True, slots=True)
class NodeStatistics:
    viewers: int
    """taken over, streamed, or entering"""
    capacity: int
    videos: int
    useless: int
    """comments that came for videos not served here"""
    too_old: int
    """comments that weren't sent, because they are so old that they may have been sent before"""
    history_reads: int
    history_reads_most: int
    history_trouble: str
    """at the same time"""
    draining: bool
    refused: Mapping[str, int]
    """by code: what addresses, or all together, had too much of"""
    sweep: SweepStatistics
    links: tuple[LinkStatistics, ...]
    clock: ClockStatistics


def open_files() -> int:
    """This process's open file descriptors, as the kernel counts them"""
    return len(os.listdir("/proc/self/fd")) - 1  # the one that lists them


class NodeCollector(Collector):
    def __init__(self, statistics: Callable[[], NodeStatistics]) -> None:
        self._statistics = statistics

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily | HistogramMetricFamily]:
        now = self._statistics()
        for name, words, value in (
            ("viewers", "viewers that are here or entering", now.viewers),
            ("capacity_viewers", "viewers that may be here", now.capacity),
            ("videos", "videos served", now.videos),
            ("history_reads_at_once_max", "most reads of the store at the same time so far", now.history_reads_most),
            ("draining", "1 while the node lets no viewer in", int(now.draining)),
            ("clock_off", "1 while this clock differs from most dispatchers'", int(now.clock.is_off)),
            ("open_files", "open file descriptors", open_files()),
            ("stalled_viewers", "viewers whose sockets are full", now.sweep.stalled),
            ("lag_bytes", "bytes that the slowest viewer is behind", now.sweep.lag_bytes_max),
            (
                "longest_slice_seconds",
                "longest time for which a sweep has held the event loop",
                now.sweep.slice_ms_longest / 1_000,
            ),
        ):
            yield GaugeMetricFamily(f"rms_{name}", words, value)
        for name, words, value in (
            ("deliveries", "frames sent to viewers by sweeps", now.sweep.deliveries),
            ("sent_bytes", "bytes written to viewers", now.sweep.bytes),
            ("sends", "writes to viewers' sockets", now.sweep.sends),
            ("useless_comments", "comments that came for videos not served here", now.useless),
            ("late_comments", "comments replaced by gaps: so old that they may have been sent before", now.too_old),
            (
                "history_reads",
                "reads of the store: of a video's last comments, and of what was missed",
                now.history_reads,
            ),
        ):
            yield CounterMetricFamily(f"rms_{name}", words, value)
        yield _refused("rms_refused", now.refused)
        closes = CounterMetricFamily("rms_closes", "viewers closed", labels=["reason"])
        for reason, count in now.sweep.closes.items():
            closes.add_metric([reason], count)
        yield closes
        numbers = replica_numbers(link.address for link in now.links)
        yield from self._links(now.links, numbers)
        yield clock_offsets("rms", now.clock, numbers)
        yield _histogram(
            "rms_slice_seconds",
            "time for which a slice of a sweep held the event loop",
            [bound / 1_000 for bound in SLICE_MS_BOUNDS],
            now.sweep.slice_ms,
            now.sweep.slice_ms_sum / 1_000,
        )
        yield _histogram(
            "rms_slice_viewers",
            "viewers visited by a slice of a sweep",
            SLICE_SENDS_BOUNDS,
            now.sweep.slice_sends,
            now.sweep.slice_sends_sum,
        )

    def _links(
        self, links: Sequence[LinkStatistics], numbers: Mapping[str, str]
    ) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        connected = GaugeMetricFamily(
            "rms_dispatcher_connected", "1 if this replica has welcomed the node", labels=["dispatcher"]
        )
        events = CounterMetricFamily("rms_dispatcher_events", "events that came from it", labels=["dispatcher"])
        tries = CounterMetricFamily("rms_dispatcher_tries", "connections to it that were tried", labels=["dispatcher"])
        connects = CounterMetricFamily("rms_dispatcher_connects", "streams made to it", labels=["dispatcher"])
        for link in links:
            number = numbers[link.address]
            connected.add_metric([number], int(link.connected))
            events.add_metric([number], link.events)
            tries.add_metric([number], link.tries)
            connects.add_metric([number], link.connects)
        yield from (connected, events, tries, connects)


def _histogram(
    name: str, words: str, bounds: Sequence[float], counts: Sequence[int], total: float
) -> HistogramMetricFamily:
    edges = [*(str(bound) for bound in bounds), "+Inf"]
    return HistogramMetricFamily(
        name, words, buckets=list(zip(edges, itertools.accumulate(counts), strict=True)), sum_value=total
    )


def build_registry(statistics: Callable[[], NodeStatistics]) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(NodeCollector(statistics))
    return registry


class DoorCollector(Collector):
    """A door's statistics"""

    def __init__(self, refused: Mapping[str, int]) -> None:
        self._refused = refused

    def collect(self) -> Iterator[CounterMetricFamily]:
        yield _refused("door_refused", self._refused)


def _refused(name: str, counts: Mapping[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, "requests over a limit", labels=["code"])
    for code, count in counts.items():
        family.add_metric([code], count)
    return family
