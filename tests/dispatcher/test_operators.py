"""What viewers and operators ask a replica, over real gRPC: place, topology, drain, explain, events"""

import asyncio

import grpc
import grpc.aio
import pytest

from dispatcher.clocks import wall_ms
from dispatcher.servicer import SERVICE
from proto.channel import aio_channel
from proto.dispatch_pb2 import (
    ClockRequest,
    DrainRequest,
    EventsRequest,
    ExplainRequest,
    PlaceRequest,
    PublishRequest,
    PublishResponse,
    TopologyRequest,
)
from tests.dispatcher.peers import WAIT_S, NodePeer, PublisherPeer, RunningReplica, batches, comment
from tests.waiting import eventually


async def test_a_viewer_is_placed_where_the_video_is_or_refused_if_there_is_no_room() -> None:
    async with RunningReplica() as server, PublisherPeer(server.listen) as asker:
        with pytest.raises(grpc.aio.AioRpcError, match="no living node has room for a viewer of a") as refused:
            await asker.stub.Place(PlaceRequest(video_id="a"))
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        async with NodePeer(server.listen, "rms-1") as one, NodePeer(server.listen, "rms-2") as two:
            await one.hello({"a": 5})
            await two.hello()
            placed = await asker.stub.Place(PlaceRequest(video_id="a"))
            assert (placed.node_id, placed.public_url) == ("rms-1", "http://rms-1:8000")
            other = await asker.stub.Place(PlaceRequest(video_id="a", exclude_node_ids=["rms-1"]))
            assert other.node_id == "rms-2"


async def test_topology_tells_what_the_replica_knows() -> None:
    async with (
        RunningReplica() as server,
        PublisherPeer(server.listen) as asker,
        NodePeer(server.listen, "rms-1") as one,
        NodePeer(server.listen, "rms-2") as two,
    ):
        await one.hello({"a": 5, "b": 1})
        await two.hello({"a": 2}, capacity=77)
        await two.beats(viewers=3, videos={"a": 3})
        await asker.publishes(1, comment(1, "b"))
        await one.receives(1)
        known = await asker.stub.Topology(TopologyRequest(videos_max=1))
        assert [node.node_id for node in known.nodes] == ["rms-1", "rms-2"]
        assert (known.nodes[0].videos, known.nodes[0].unacked_events, known.nodes[0].state) == (2, 1, "live")
        assert (known.nodes[1].viewers, known.nodes[1].capacity_viewers) == (3, 77)
        assert [(video.video_id, video.viewers) for video in known.videos] == [("a", 8)]
        assert known.videos_total == 2
        only_b = await asker.stub.Topology(TopologyRequest(video_id="b"))
        assert [node.node_id for node in only_b.nodes] == ["rms-1"]
        assert list(only_b.videos[0].node_ids) == ["rms-1"]
        nothing = await asker.stub.Topology(TopologyRequest(video_id="c"))
        assert (len(nothing.nodes), len(nothing.videos)) == (0, 0)


async def test_the_clock_is_the_replicas_wall_clock() -> None:
    async with RunningReplica() as server, PublisherPeer(server.listen) as asker:
        before_ms = wall_ms()
        said = await asker.stub.Clock(ClockRequest())
        assert before_ms <= said.now_ms <= wall_ms()


async def test_an_unfinished_batch_of_another_version_is_read_as_far_as_it_is_known() -> None:
    newer = PublishRequest(seq=3, videos=batches(comment(1, "nobody"))).SerializeToString() + b"\xfa\x07\x01x"
    async with RunningReplica() as server, aio_channel(server.listen, None) as channel:
        call: grpc.aio.StreamStreamCall[bytes, bytes] = channel.stream_stream(f"/{SERVICE}/Publish")()
        await call.write(newer)
        answer = await call.read()
        assert isinstance(answer, bytes)
        assert PublishResponse.FromString(answer).seq == 3


# Draining, explaining, watching


async def test_a_drain_reaches_the_node_and_counts_when_the_node_confirms_it() -> None:
    async with RunningReplica() as server, NodePeer(server.listen) as node, PublisherPeer(server.listen) as operator:
        await node.hello({"a": 1})
        await operator.stub.Drain(DrainRequest(node_id="rms-1", draining=True, over_ms=60_000))
        drain = (await node.hears("drain")).drain
        assert (drain.draining, drain.over_ms) == (True, 60_000)
        assert (await operator.stub.Topology(TopologyRequest())).nodes[0].state == "live"
        await node.beats(draining=True)
        assert (await operator.stub.Topology(TopologyRequest())).nodes[0].state == "draining"
        with pytest.raises(grpc.aio.AioRpcError, match="no living node has room"):
            await operator.stub.Place(PlaceRequest(video_id="a"))
        await operator.publishes(1, comment(1, "a"))
        await node.receives(1)


async def test_a_node_that_is_not_here_cannot_be_drained() -> None:
    async with RunningReplica() as server, PublisherPeer(server.listen) as operator:
        with pytest.raises(grpc.aio.AioRpcError, match="'rms-9' is not connected to this replica") as refused:
            await operator.stub.Drain(DrainRequest(node_id="rms-9"))
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
        with pytest.raises(grpc.aio.AioRpcError, match="a drain takes at most"):
            await operator.stub.Drain(DrainRequest(node_id="rms-9", over_ms=10**12))


async def test_nodes_are_sent_the_viewers_of_their_videos_on_all_nodes() -> None:
    async with RunningReplica() as server, NodePeer(server.listen) as one, NodePeer(server.listen, "rms-2") as two:
        await one.hello({"a": 2})
        await two.hello({"a": 3})
        server.replica.check_leases()
        assert await one.beats() == {"a": 5}
        assert await one.beats() == {}


async def test_explain_shows_every_hop_and_promises_nothing() -> None:
    async with RunningReplica() as server, NodePeer(server.listen) as node, PublisherPeer(server.listen) as asker:
        nobody = await asker.stub.Explain(ExplainRequest(video_id="a"))
        assert (nobody.HasField("video"), nobody.HasField("next"), len(nobody.nodes)) == (False, False, 0)
        await node.hello({"a": 1}, capacity=2)
        await asker.publishes(1, comment(1, "a"))
        number = await node.receives(1)
        known = await asker.stub.Explain(ExplainRequest(video_id="a"))
        assert (known.video.viewers, known.nodes[0].unacked_events, known.next.node_id) == (1, 1, "rms-1")
        assert known.nodes[0].HasField("waiting_ms")
        assert (known.publishers[0].batches, known.publishers[0].unanswered_batches) == (1, 1)
        await node.acknowledges(number)
        assert await asker.is_answered() == 1
        known = await asker.stub.Explain(ExplainRequest(video_id="a"))
        assert not known.nodes[0].HasField("waiting_ms")
        assert known.nodes[0].HasField("acked_ms_ago")
        assert server.replica.registry.statistics().promised_viewers == 0


async def test_a_watcher_gets_who_comes_drains_spills_and_goes() -> None:
    async with (
        RunningReplica(spill_viewers=1) as server,
        PublisherPeer(server.listen) as operator,
        NodePeer(server.listen, "rms-2") as two,
    ):
        events = operator.stub.Events(EventsRequest())
        await events.initial_metadata()
        await two.hello()
        async with NodePeer(server.listen) as one:
            await one.hello({"a": 1})
            await one.beats(viewers=1, videos={"a": 1})
            await operator.stub.Place(PlaceRequest(video_id="a"))
            await one.beats(draining=True)
            await one.beats()
        got = []
        async with asyncio.timeout(WAIT_S):
            async for event in events:
                got.append((event.kind, event.node_id, event.video_id))
                if event.kind == "node_left":
                    break
        assert got == [
            ("node_connected", "rms-2", ""),
            ("node_connected", "rms-1", ""),
            ("spill", "rms-2", "a"),
            ("draining", "rms-1", ""),
            ("undrained", "rms-1", ""),
            ("node_left", "rms-1", ""),
        ]
        events.cancel()
        await eventually(lambda: not len(server.replica.watchers))


async def test_a_stopping_replica_ends_its_watchers() -> None:
    async with RunningReplica() as server, PublisherPeer(server.listen) as operator:
        events = operator.stub.Events(EventsRequest())
        await events.initial_metadata()
        server.replica.stop_publishers()
        with pytest.raises(grpc.aio.AioRpcError, match="this replica is stopping"):
            async for _ in events:
                pass
