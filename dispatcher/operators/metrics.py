"""Serves a replica's statistics to Prometheus. They are read for each scrape, so what isn't scraped costs nothing.

An HTTP server in threads of its own has another port than gRPC. For each scrape it asks the event loop for the numbers,
so that they are of one moment; if the loop is stuck, the scrape fails.
"""

import asyncio
import itertools
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import make_wsgi_app
from prometheus_client.core import CollectorRegistry, CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import ThreadingWSGIServer
from prometheus_client.registry import Collector

from dispatcher.streams.link import ACK_MS_BOUNDS
from dispatcher.streams.replica import Replica
from proto.settings import join_address, split_address

Metric = GaugeMetricFamily | CounterMetricFamily | HistogramMetricFamily


@dataclass(frozen=True, slots=True)
class ReplicaStatistics:
    nodes: int
    draining_nodes: int
    videos: int
    interests: int
    viewers: int
    capacity_viewers: int
    promised_viewers: int
    publishers: int
    watchers: int
    outbox_events: int
    unacked_events: int
    unacked_events_max: int  # of one link: queued and unacknowledged together
    batches: int
    events: int
    pushes: int
    useless_events: int
    expiries: int
    overflows: int
    placements: int
    spills: int
    no_room: int
    ack_counts: tuple[int, ...]
    ack_sum_ms: int


def statistics(replica: Replica) -> ReplicaStatistics:
    """Call it in the replica's loop."""
    known, counts, links = (
        replica.registry.statistics(),
        replica.counts,
        [link.statistics() for link in replica.links.values()],
    )
    return ReplicaStatistics(
        nodes=known.nodes,
        draining_nodes=known.draining_nodes,
        videos=known.videos,
        interests=known.interests,
        viewers=known.viewers,
        capacity_viewers=known.capacity_viewers,
        promised_viewers=known.promised_viewers,
        publishers=len(replica.publishers),
        watchers=len(replica.watchers),
        outbox_events=sum(link.outbox_events for link in links),
        unacked_events=sum(link.unacked_events for link in links),
        unacked_events_max=max((link.outbox_events + link.unacked_events for link in links), default=0),
        batches=counts.batches,
        events=counts.events,
        pushes=counts.pushes,
        useless_events=counts.useless_events,
        expiries=counts.expiries,
        overflows=counts.overflows,
        placements=counts.placements,
        spills=counts.spills,
        no_room=counts.no_room,
        ack_counts=tuple(replica.latency.counts),
        ack_sum_ms=replica.latency.sum_ms,
    )


GAUGES = {
    "nodes": "RMS nodes connected: leases that hold",
    "draining_nodes": "of them, those that take no more viewers",
    "videos": "videos that a node serves",
    "interests": "pairs of a video and a node that serves it",
    "viewers": "viewers, as the nodes say",
    "capacity_viewers": "viewers that there are seats for",
    "promised_viewers": "viewers placed and not yet seen in a beat",
    "publishers": "Publish streams",
    "watchers": "Events streams",
    "outbox_events": "events queued for nodes",
    "unacked_events": "events sent to nodes and not acknowledged",
    "unacked_events_max": "queued and unacknowledged events of the link that has most",
}
COUNTERS = {
    "batches": "batches taken from publishers",
    "events": "events taken from publishers",
    "pushes": "events queued for nodes, once for each node",
    "useless_events": "events that connected nodes got, from any replica, for videos that they don't serve",
    "expiries": "leases that ran out",
    "overflows": "links ended because their outbox was full",
    "placements": "viewers placed",
    "spills": "placements that gave a served video one more node",
    "no_room": "viewers for whom no node had room",
}


class ReplicaCollector(Collector):
    def __init__(self, read: Callable[[], ReplicaStatistics]) -> None:
        self._read = read

    def describe(self) -> tuple[()]:
        """No names: registering runs on the loop, so it must not wait for the loop's numbers."""
        return ()

    def collect(self) -> Iterator[Metric]:
        now = self._read()
        for name, words in GAUGES.items():
            yield GaugeMetricFamily(f"dispatcher_{name}", words, getattr(now, name))
        for name, words in COUNTERS.items():
            yield CounterMetricFamily(f"dispatcher_{name}", words, getattr(now, name))
        edges = [*(str(bound / 1000) for bound in ACK_MS_BOUNDS), "+Inf"]
        yield HistogramMetricFamily(
            "dispatcher_acknowledgement_seconds",
            "from sending a delivery to the node's acknowledgement",
            buckets=list(zip(edges, itertools.accumulate(now.ack_counts), strict=True)),
            sum_value=now.ack_sum_ms / 1000,
        )


class MetricsServer:
    """Takes its port when it is built, in the replica's loop. `serve`, then `close`."""

    def __init__(self, listen: str, replica: Replica, timeout_ms: int) -> None:
        """timeout_ms: for the loop to give its numbers to a scrape. Raises OSError if the port is taken."""
        self._loop = asyncio.get_running_loop()
        self._replica = replica
        self._timeout_ms = timeout_ms
        self._serving = False
        registry = CollectorRegistry(support_collectors_without_names=True)
        registry.register(ReplicaCollector(self._read))
        host, port = split_address(listen)
        kind = _HttpServer6 if ":" in host else ThreadingWSGIServer
        self._server = make_server(host, port, make_wsgi_app(registry), kind, handler_class=_Handler)
        self.listen = join_address(host, self._server.server_port)

    async def serve(self) -> None:
        """Until `close`"""
        self._serving = True
        try:
            await asyncio.to_thread(self._server.serve_forever)
        except Exception:
            self._serving = False
            raise

    async def close(self) -> None:
        """Returns when no thread serves any more."""
        if self._serving:  # `shutdown` waits for the end of `serve_forever`
            await asyncio.to_thread(self._server.shutdown)
        self._server.server_close()

    def _read(self) -> ReplicaStatistics:
        """Called in a thread of the server, for each scrape. Raises TimeoutError, or what `statistics` raises."""
        result: Future[ReplicaStatistics] = Future()

        def read_in_the_loop() -> None:
            if result.set_running_or_notify_cancel():  # False: the scrape has given up
                try:
                    result.set_result(statistics(self._replica))
                except Exception as error:
                    result.set_exception(error)

        self._loop.call_soon_threadsafe(read_in_the_loop)
        try:
            return result.result(self._timeout_ms / 1000)
        except Exception as error:
            result.cancel()
            self._replica.journal.failed("metrics can't be read", error)
            raise


class _HttpServer6(ThreadingWSGIServer):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    def log_message(self, *_args: object) -> None:
        """Logs no requests."""
