"""A replica whose own parts fail: what fails is logged with its reason, ends no more than its own work, and goes on."""

import asyncio
from collections.abc import Awaitable, Callable

import grpc
import pytest
from prometheus_client.exposition import ThreadingWSGIServer
from structlog.testing import capture_logs
from structlog.typing import EventDict

from dispatcher.core.errors import Failed
from dispatcher.core.registry import Registry
from dispatcher.streams.link import Link
from dispatcher.streams.publisher import Publisher
from dispatcher.streams.replica import Replica
from proto.dispatch_pb2 import EventsRequest, PlaceRequest, PublishRequest, TopologyRequest
from tests.dispatcher.operators.test_metrics import scrape
from tests.dispatcher.peers import NodePeer, PublisherPeer, RunningReplica, comment
from tests.dispatcher.streams.test_replica import World
from tests.waiting import eventually


class Fault(Exception):
    """What the tests make the parts of a replica raise"""


def failures(logs: list[EventDict], event: str) -> list[tuple[str, str]]:
    """Of these lines of the log: the level and the reason"""
    return [(line["log_level"], line["reason"]) for line in logs if line["event"] == event]


async def test_the_loop_that_looks_at_leases_goes_on_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    housekeep, calls = Registry.housekeep, 0

    def failing_once(registry: Registry, now_ms: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise Fault("housekeep")
        housekeep(registry, now_ms)

    monkeypatch.setattr(Registry, "housekeep", failing_once)
    with capture_logs() as logs:
        async with RunningReplica(beat_ms=50, lease_ms=100) as server, NodePeer(server.listen) as node:
            await node.hello()
            await eventually(lambda: calls > 1)
            assert await node.ended() == (
                grpc.StatusCode.ABORTED,
                "the lease has expired: nothing was heard for 100 ms",
            )
    (line,) = (line for line in logs if line["event"] == "task failed, and is begun again")
    assert (line["task"], line["reason"]) == ("leases", "Fault('housekeep')")


async def test_a_node_that_cannot_be_expired_stops_no_others_end(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    bad, _ = world.node("rms-1")
    good, _ = world.node("rms-2")
    expire = Registry.expire

    def failing(registry: Registry, session: int, now_ms: int) -> bool:
        if session == bad.session:
            raise Fault("expire")
        return expire(registry, session, now_ms)

    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr(Registry, "expire", failing)
        world.pass_ms(2500)
    assert good.ended.done()
    assert not bad.ended.done()
    assert failures(logs, "can't expire a node") == [("error", "Fault('expire')")]
    world.pass_ms(500)
    assert bad.ended.done(), "it is tried again"


async def test_a_link_that_fails_stops_no_others_end(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(lease_ms=600_000, ack_ms_max=1000)
    bad, _ = world.node("rms-1", "a")
    good, _ = world.node("rms-2", "a")
    world.publish(world.replica.open_publisher("peer"), 1, 7)
    for link in (bad, good):
        world.sent(link)
    overdue = Link.overdue

    def failing(link: Link, now_ms: int) -> object:
        if link is bad:
            raise Fault("overdue")
        return overdue(link, now_ms)

    monkeypatch.setattr(Link, "overdue", failing)
    with capture_logs() as logs:
        world.pass_ms(1500)
    assert good.ended.done()
    assert not bad.ended.done()
    assert failures(logs, "can't end a link") == [("error", "Fault('overdue')")] * 3


async def test_a_publishers_stream_that_fails_ends_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    publish = Replica.publish

    def failing(replica: Replica, publisher: Publisher, request: PublishRequest) -> None:
        if request.seq == 13:
            raise Fault("publish")
        publish(replica, publisher, request)

    monkeypatch.setattr(Replica, "publish", failing)
    with capture_logs() as logs:
        async with (
            RunningReplica() as server,
            NodePeer(server.listen) as node,
            PublisherPeer(server.listen) as bad,
            PublisherPeer(server.listen) as good,
        ):
            await node.hello({"a": 1})
            await good.publishes(1, comment(1, "a"))
            await bad.publishes(13, comment(2, "a"))
            assert await bad.ended() == (
                grpc.StatusCode.INTERNAL,
                "this replica has failed at this call; its log has the reason",
            )
            await node.acknowledges(await node.receives(1))
            assert await good.is_answered() == 1
            await eventually(lambda: len(server.replica.publishers) == 1)
    assert failures(logs, "call failed") == [("error", "Fault('publish')")]


async def test_a_nodes_stream_that_fails_ends_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    next_message = Link.next_message

    def failing(link: Link, now_ms: int, ack_within_ms: int) -> bytes | None:
        if link.node_id == "rms-1":
            raise Fault("next message")
        return next_message(link, now_ms, ack_within_ms)

    monkeypatch.setattr(Link, "next_message", failing)
    with capture_logs() as logs:
        async with (
            RunningReplica() as server,
            NodePeer(server.listen, "rms-1") as bad,
            NodePeer(server.listen, "rms-2") as good,
        ):
            await good.hello()
            with pytest.raises(grpc.aio.AioRpcError, match="this replica has failed") as failed:
                await bad.hello()
            assert failed.value.code() is grpc.StatusCode.INTERNAL
            await good.beats()
            assert [node.node_id for node in server.replica.registry.nodes()] == ["rms-2"]
    assert failures(logs, "call failed") == [("error", "Fault('next message')")]
    assert ("info", str(Failed())) in failures(logs, "node left")


async def test_a_query_or_a_watch_that_fails_is_logged_and_the_next_one_works(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_arguments: object) -> object:
        raise Fault("broken")

    with capture_logs() as logs:
        async with RunningReplica() as server, PublisherPeer(server.listen) as operator:
            calls: dict[str, Callable[[], Awaitable[object]]] = {
                "place": lambda: operator.stub.Place(PlaceRequest(video_id="a")),
                "nodes": lambda: operator.stub.Topology(TopologyRequest()),
            }
            for method, call in calls.items():
                with monkeypatch.context() as patch:
                    patch.setattr(Registry, method, failing)
                    with pytest.raises(grpc.aio.AioRpcError, match="this replica has failed") as failed:
                        await call()
                    assert failed.value.code() is grpc.StatusCode.INTERNAL
            await operator.stub.Topology(TopologyRequest())
            monkeypatch.setattr(type(server.replica.watchers), "open", failing)
            with pytest.raises(grpc.aio.AioRpcError, match="this replica has failed"):
                async for _ in operator.stub.Events(EventsRequest()):
                    pass
    assert failures(logs, "call failed") == [("error", "Fault('broken')")] * 3


async def test_the_thread_that_serves_metrics_is_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    serve_forever, begun = ThreadingWSGIServer.serve_forever, 0

    def failing_once(server: ThreadingWSGIServer, poll_interval: float = 0.5) -> None:
        nonlocal begun
        begun += 1
        if begun == 1:
            raise Fault("thread")
        serve_forever(server, poll_interval)

    monkeypatch.setattr(ThreadingWSGIServer, "serve_forever", failing_once)
    with capture_logs() as logs:
        async with RunningReplica(metrics_listen="127.0.0.1:0", metrics_ms=10_000) as server:
            assert server.metrics
            read = await asyncio.to_thread(scrape, server.metrics.listen)
    assert read["dispatcher_nodes"] == 0
    (line,) = (line for line in logs if line["event"] == "task failed, and is begun again")
    assert (line["task"], line["reason"]) == ("metrics", "Fault('thread')")


async def test_a_scrape_that_fails_is_logged_and_the_next_one_works(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_replica: Replica) -> object:
        raise Fault("statistics")

    with capture_logs() as logs:
        async with RunningReplica(metrics_listen="127.0.0.1:0", metrics_ms=10_000) as server:
            assert server.metrics
            with monkeypatch.context() as patch:
                patch.setattr("dispatcher.operators.metrics.statistics", failing)
                with pytest.raises(OSError, match="500"):
                    await asyncio.to_thread(scrape, server.metrics.listen)
            await asyncio.to_thread(scrape, server.metrics.listen)
    assert failures(logs, "metrics can't be read") == [("error", "Fault('statistics')")]


async def test_a_hello_that_fails_leaves_no_count_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams without a hello are counted against a limit: those that failed must not stay in it."""

    def failing(_replica: Replica, _hello: object) -> object:
        raise Fault("connect")

    monkeypatch.setattr(Replica, "connect", failing)
    async with RunningReplica(nodes_max=1) as server:
        for _ in range(3):
            async with NodePeer(server.listen) as node:
                with pytest.raises(grpc.aio.AioRpcError, match="this replica has failed"):
                    await node.hello()
