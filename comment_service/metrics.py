"""Exports the service's statistics to Prometheus. They are read at each scrape, so counting costs little."""

import itertools
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from comment_service.clocks import wall_ms
from comment_service.core.reach import Nodes
from comment_service.http.kept_pages import KeptPagesStatistics
from comment_service.publish.publisher import PublisherStatistics
from history.cache.store import CacheStatistics
from history.group_commit import GroupCommitStatistics
from history.spool.store import SpooledStatistics
from proto.clock_watch import ClockStatistics, clock_offsets
from proto.replicas import replica_numbers

DURABLE_MS_BOUNDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000)

Family = GaugeMetricFamily | CounterMetricFamily | HistogramMetricFamily


class Tally:
    """Counts what happens to requests. Codes are those of core/errors.py, so strangers can't add any."""

    def __init__(self) -> None:
        self.refused: Counter[str] = Counter()
        self.durable_ms = [0] * (len(DURABLE_MS_BOUNDS) + 1)  # the last: longer than all bounds
        self.durable_ms_sum = 0.0

    def durable(self, comments: int, ms: float) -> None:
        """`comments` became durable by one write that took `ms`."""
        self.durable_ms[bisect_left(DURABLE_MS_BOUNDS, ms)] += comments
        self.durable_ms_sum += comments * ms


@dataclass(frozen=True, slots=True)
class ServiceStatistics:
    tally: Tally
    commit: GroupCommitStatistics
    claims: GroupCommitStatistics
    spooled: SpooledStatistics
    cache: CacheStatistics
    pages: KeptPagesStatistics
    publisher: PublisherStatistics
    dispatchers: Sequence[str]
    """addresses of all"""
    dispatchers_connected: int
    dispatchers_nodes: Nodes
    clock: ClockStatistics


class ServiceCollector(Collector):
    def __init__(self, statistics: Callable[[], ServiceStatistics]) -> None:
        self._statistics = statistics

    def collect(self) -> Iterator[Family]:
        now = self._statistics()
        spool, cache, publisher = now.spooled.spool, now.cache, now.publisher
        oldest_ms = spool.oldest_created_at_ms
        age_s = 0.0 if oldest_ms is None else max(0.0, (wall_ms() - oldest_ms) / 1000)
        for name, words, value in (
            ("pending_comments", "comments waiting to be durable", now.commit.pending),
            ("pending_keys", "Idempotency-Keys waiting to be claimed", now.claims.pending),
            ("store_away", "1 while comments go to the spool", int(now.spooled.away)),
            ("spool_comments", "comments in the spool", spool.comments),
            ("spool_bytes", "bytes in the spool", spool.bytes),
            ("spool_bytes_max", "bytes that the spool may hold", spool.bytes_max),
            ("spool_age_seconds", "age of the oldest comment in the spool", age_s),
            ("cache_bytes", "bytes of cached comments", cache.bytes),
            ("cache_bytes_max", "bytes that may be cached", cache.bytes_max),
            ("pages_bytes", "bytes of pages kept as they were sent", now.pages.bytes),
            ("pages_bytes_max", "bytes of pages that may be kept", now.pages.bytes_max),
            ("publish_backlog", "events waiting to be published", publisher.backlog),
            ("publish_in_flight", "events published and not yet answered", publisher.in_flight),
            ("publish_bytes", "bytes of both in memory", publisher.bytes),
            ("catching_up", "1 while nodes are asked to read history", int(publisher.catching_up)),
            ("dispatchers_connected", "dispatcher replicas connected", now.dispatchers_connected),
            ("clock_off", "1 while this clock differs from most dispatchers'", int(now.clock.is_off)),
        ):
            yield GaugeMetricFamily(f"comment_service_{name}", words, value)
        for name, words, value in (
            ("accepted", "comments acknowledged as durable", sum(now.tally.durable_ms)),
            ("writes", "writes of comments, each with many", now.commit.writes),
            ("claimed_keys", "Idempotency-Keys claimed", now.claims.items),
            ("claims", "rounds of claims, each with many keys", now.claims.writes),
            ("drained", "comments brought from the spool to the store", now.spooled.drained),
            ("pages_hits", "pages sent as they were before, without asking the cache", now.pages.hits),
            ("cache_hits", "runs of comments that were cached", cache.hits),
            ("cache_misses", "runs of comments that had to be read", cache.misses),
            ("store_reads", "reads of the store for pages", cache.reads),
            ("published", "events that a dispatcher has answered", publisher.published),
            ("resent", "events published again", publisher.resent),
            ("dropped", "events left to a catch-up", publisher.dropped),
        ):
            yield CounterMetricFamily(f"comment_service_{name}", words, value)
        refused = CounterMetricFamily("comment_service_refused", "requests refused", labels=["code"])
        for code, count in now.tally.refused.items():
            refused.add_metric([code], count)
        yield refused
        replica = GaugeMetricFamily("comment_service_replica", "1: events are published to it", labels=["dispatcher"])
        numbers = replica_numbers(now.dispatchers)
        if publisher.connected in numbers:
            replica.add_metric([numbers[publisher.connected]], 1)
        yield replica
        reach = GaugeMetricFamily(
            "comment_service_dispatcher_nodes", "nodes that the replica reaches; none: no answer", labels=["dispatcher"]
        )
        for address, nodes in now.dispatchers_nodes.items():
            if address in numbers and nodes is not None:
                reach.add_metric([numbers[address]], nodes)
        yield reach
        yield clock_offsets("comment_service", now.clock, numbers)
        edges = [*(str(bound / 1000) for bound in DURABLE_MS_BOUNDS), "+Inf"]
        yield HistogramMetricFamily(
            "comment_service_durable_seconds",
            "how long the write took that made a comment durable",
            buckets=list(zip(edges, itertools.accumulate(now.tally.durable_ms), strict=True)),
            sum_value=now.tally.durable_ms_sum / 1000,
        )


def build_registry(statistics: Callable[[], ServiceStatistics]) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ServiceCollector(statistics))
    return registry
