"""dispatcher/operators/metrics.py: what Prometheus reads, over HTTP, from a replica at work."""

import asyncio
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from dispatcher.operators.metrics import COUNTERS, GAUGES, statistics
from proto.dispatch_pb2 import Beat, Load, PlaceRequest
from tests.dispatcher.peers import NodePeer, PublisherPeer, RunningReplica, comment


def scrape(listen: str) -> dict[str, float]:
    with urllib.request.urlopen(f"http://{listen}/metrics", timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    return {
        sample.name + (f"_{sample.labels['le']}" if "le" in sample.labels else ""): sample.value
        for family in families
        for sample in family.samples
    }


async def test_prometheus_reads_what_the_replica_does() -> None:
    async with (
        RunningReplica(metrics_listen="127.0.0.1:0", metrics_ms=10_000) as server,
        PublisherPeer(server.listen) as publisher,
        NodePeer(server.listen) as node,
        NodePeer(server.listen, "rms-2") as two,
    ):
        await node.hello({"a": 3}, capacity=10)
        await two.hello({"a": 1}, capacity=10)
        await publisher.publishes(1, comment(1, "a"), comment(2, "nobody"))
        await node.acknowledges(await node.receives(1))
        await two.receives(1)
        await node.beats(viewers=3)
        await node.say(beat=Beat(load=Load(viewers=3, useless_events=2)))
        await node.hears("beat_ack")
        await publisher.stub.Place(PlaceRequest(video_id="a"))
        assert server.metrics
        read = await asyncio.to_thread(scrape, server.metrics.listen)
    expected = {
        "nodes": 2,
        "videos": 1,
        "interests": 2,
        "viewers": 4,
        "promised_viewers": 1,
        "publishers": 1,
        "unacked_events": 1,
        "events_total": 2,
        "pushes_total": 2,
        "useless_events_total": 2,
        "placements_total": 1,
        "expiries_total": 0,
        "acknowledgement_seconds_count": 1,
        "acknowledgement_seconds_bucket_+Inf": 1,
    }
    assert {name: read[f"dispatcher_{name}"] for name in expected} == expected


async def test_an_ipv6_address_is_shown_in_brackets() -> None:
    async with RunningReplica(metrics_listen="[::1]:0", metrics_ms=10_000) as server:
        assert server.metrics
        assert server.metrics.listen.startswith("[::1]:")
        assert (await asyncio.to_thread(scrape, server.metrics.listen))["dispatcher_nodes"] == 0


async def test_every_number_has_its_words() -> None:
    async with RunningReplica() as server:
        read = statistics(server.replica)
        assert server.metrics is None
    for name in GAUGES | COUNTERS:
        assert getattr(read, name) == 0
    assert set(read.__slots__) - {"ack_counts", "ack_sum_ms"} == set(GAUGES | COUNTERS)
