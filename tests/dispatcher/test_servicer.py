"""dispatcher/servicer.py and replica.py over real gRPC: who gets what, when a batch is answered, how a stream ends."""

import asyncio

import grpc
import grpc.aio
import pytest

from dispatcher.server import Server
from dispatcher.servicer import SERVICE
from proto.comment_pb2 import Comment
from proto.dispatch_pb2 import (
    Beat,
    DrainRequest,
    EventsRequest,
    ExplainRequest,
    Interest,
    PlaceRequest,
    PublishRequest,
    TopologyRequest,
)
from tests.dispatcher.peers import WAIT_S, NodePeer, PublisherPeer, RunningReplica, comment
from tests.waiting import eventually


async def answered_soon(publisher: PublisherPeer) -> "asyncio.Future[int]":
    """The next answer, as a future that has had the time of two round trips to come."""
    answer = asyncio.ensure_future(publisher.is_answered())
    for _ in range(2):
        await publisher.stub.Topology(TopologyRequest())
    return answer


# Who gets what


async def test_a_comment_goes_to_the_nodes_that_serve_its_video_and_to_no_other() -> None:
    async with (
        RunningReplica() as server,
        PublisherPeer(server.listen) as publisher,
        NodePeer(server.listen, "rms-1") as one,
        NodePeer(server.listen, "rms-2") as two,
    ):
        await one.hello({"a": 1, "b": 1})
        await two.hello({"b": 1})
        batch = (comment(1, "a"), comment(2, "b"), comment(3, "nobody"), comment(4, "a"), comment(5, "b"))
        await publisher.publishes(7, *batch)
        # Groups of one route are delivered in one message; within a video the order stays.
        number = await one.receives(1, 4, 2, 5)
        await two.receives(2, 5)
        assert not (await answered_soon(publisher)).done()
        await one.acknowledges(number)
        await two.acknowledges(1)


async def test_a_comment_arrives_as_it_was_published() -> None:
    original = comment(2**63 - 1, "a", "zwölf Boxkämpfer \u2028 \x00 <b>")
    async with RunningReplica() as server, PublisherPeer(server.listen) as publisher, NodePeer(server.listen) as node:
        await node.hello({"a": 1})
        await publisher.publishes(1, original)
        deliver = (await node.hears("deliver")).deliver
        assert list(deliver.comments) == [original]


async def test_a_batch_is_answered_only_when_every_node_has_acknowledged() -> None:
    async with (
        RunningReplica() as server,
        PublisherPeer(server.listen) as publisher,
        NodePeer(server.listen, "rms-1") as one,
        NodePeer(server.listen, "rms-2") as two,
    ):
        await one.hello({"a": 1})
        await two.hello({"a": 1})
        await publisher.publishes(7, comment(1, "a"))
        numbers = await one.receives(1), await two.receives(1)
        answer = await answered_soon(publisher)
        assert not answer.done()
        await one.acknowledges(numbers[0])
        await one.beats()
        assert not answer.done()
        await two.acknowledges(numbers[1])
        assert await answer == 7


async def test_batches_are_answered_in_the_order_in_which_they_are_done() -> None:
    async with RunningReplica() as server, PublisherPeer(server.listen) as publisher, NodePeer(server.listen) as node:
        await node.hello({"a": 1})
        await publisher.publishes(1, comment(1, "a"))
        await publisher.publishes(2, comment(2, "nobody"))
        assert await publisher.is_answered() == 2
        await node.acknowledges(await node.receives(1))
        assert await publisher.is_answered() == 1


async def test_a_batch_that_nobody_serves_is_answered_at_once() -> None:
    async with RunningReplica() as server, PublisherPeer(server.listen) as publisher:
        await publisher.publishes(1, comment(1))
        assert await publisher.is_answered() == 1
        await publisher.publishes(2)
        assert await publisher.is_answered() == 2


async def test_a_node_that_leaves_is_no_longer_waited_for() -> None:
    async with RunningReplica() as server, PublisherPeer(server.listen) as publisher:
        async with NodePeer(server.listen) as node:
            await node.hello({"a": 1})
            await publisher.publishes(7, comment(1, "a"))
            await node.receives(1)
        assert await publisher.is_answered() == 7


async def test_a_silent_node_is_waited_for_until_its_lease_is_over() -> None:
    async with (
        RunningReplica(lease_ms=200, beat_ms=50) as server,
        PublisherPeer(server.listen) as publisher,
        NodePeer(server.listen) as node,
    ):
        await node.hello({"a": 1})
        await publisher.publishes(7, comment(1, "a"))
        assert await publisher.is_answered() == 7
        assert await node.ended() == (
            grpc.StatusCode.ABORTED,
            "the lease has expired: nothing was heard for 200 ms",
        )


async def test_a_node_that_beats_but_does_not_acknowledge_is_cut() -> None:
    async with (
        RunningReplica(beat_ms=50, ack_ms_max=150) as server,
        PublisherPeer(server.listen) as publisher,
        NodePeer(server.listen) as node,
    ):
        await node.hello({"a": 1})
        await publisher.publishes(7, comment(1, "a"))
        assert await publisher.is_answered() == 7
        code, details = await node.ended()
        assert code is grpc.StatusCode.ABORTED
        assert "delivery 1 wasn't acknowledged within 150 ms" in details


async def test_an_interest_holds_from_its_acknowledgement_on() -> None:
    async with RunningReplica() as server, PublisherPeer(server.listen) as publisher, NodePeer(server.listen) as node:
        await node.hello()
        await node.joins("a", "b")
        await publisher.publishes(1, comment(1, "a"), comment(2, "b"))
        await node.acknowledges(await node.receives(1, 2))
        await node.joins(left=["a"])
        await publisher.publishes(2, comment(3, "a"), comment(4, "b"))
        await node.receives(4)


async def test_a_slow_node_is_cut_and_told_to_catch_up() -> None:
    async with RunningReplica(outbox_comments_max=5) as server, PublisherPeer(server.listen) as publisher:
        async with NodePeer(server.listen) as node:
            await node.hello({"a": 1})
            await publisher.publishes(1, *(comment(i, "a") for i in range(11, 14)))
            await publisher.publishes(2, *(comment(i, "a") for i in range(14, 17)))
            assert {await publisher.is_answered(), await publisher.is_answered()} == {1, 2}
            code, details = await node.ended()
            assert code is grpc.StatusCode.ABORTED
            assert "outbox is full" in details
        async with NodePeer(server.listen) as again:
            assert (await again.hello({"a": 1}, silent_ms=1)).catch_up_from_id == 11


# Catching up


async def test_a_node_that_comes_back_is_told_what_it_may_have_missed() -> None:
    async with RunningReplica() as server, PublisherPeer(server.listen) as publisher:
        async with NodePeer(server.listen) as node:
            assert (await node.hello({"a": 1})).catch_up_from_id == 0
        await eventually(lambda: not server.replica.registry.nodes())
        await publisher.publishes(1, comment(42, "a"), comment(41, "b"))
        assert await publisher.is_answered() == 1
        async with NodePeer(server.listen) as again:
            assert (await again.hello({"a": 1})).catch_up_from_id == 41
        async with NodePeer(server.listen, "rms-2") as empty:
            assert (await empty.hello()).catch_up_from_id == 0


async def test_a_catch_up_goes_to_every_node_and_is_answered_when_all_have_read() -> None:
    async with RunningReplica() as server, PublisherPeer(server.listen) as publisher:
        async with NodePeer(server.listen, "rms-1") as one, NodePeer(server.listen, "rms-2") as two:
            await one.hello({"a": 1})
            await two.hello()
            await publisher.publishes(7, catch_up_from_id=42)
            for node in (one, two):
                message = (await node.hears("catch_up")).catch_up
                assert (message.number, message.from_id) == (1, 42)
            await one.acknowledges(1)
            assert not (await answered_soon(publisher)).done()
        async with NodePeer(server.listen, "rms-3") as later:
            assert (await later.hello({"a": 1})).catch_up_from_id == 42


# The lives of nodes


async def test_a_newer_stream_of_a_node_takes_the_place_of_the_older_one() -> None:
    async with (
        RunningReplica() as server,
        PublisherPeer(server.listen) as publisher,
        NodePeer(server.listen, incarnation=1) as old,
        NodePeer(server.listen, incarnation=2) as new,
    ):
        await old.hello({"a": 1})
        await new.hello({"a": 1})
        assert await old.ended() == (grpc.StatusCode.ABORTED, "a newer stream of this node took its place")
        await publisher.publishes(1, comment(1, "a"))
        await new.acknowledges(await new.receives(1))
        assert await publisher.is_answered() == 1


async def test_an_older_incarnation_of_a_node_is_refused() -> None:
    async with (
        RunningReplica() as server,
        NodePeer(server.listen, incarnation=2) as new,
        NodePeer(server.listen, incarnation=1) as old,
    ):
        await new.hello()
        with pytest.raises(grpc.aio.AioRpcError, match="a newer incarnation of this node is connected"):
            await old.hello()
        await new.beats()


async def test_a_node_that_closes_its_side_is_gone_without_an_error() -> None:
    async with RunningReplica() as server, NodePeer(server.listen) as node:
        await node.hello({"a": 1})
        await node.call.done_writing()
        assert await node.ended() == (grpc.StatusCode.OK, "")
        assert server.replica.registry.statistics().nodes == 0


# What peers must not send, and that it disturbs nobody else


async def raw(server: Server, method: str, *messages: bytes) -> tuple[grpc.StatusCode, str]:
    """Sends these bytes on a new stream, and says how it ended"""
    async with grpc.aio.insecure_channel(server.listen) as channel:
        call: grpc.aio.StreamStreamCall[bytes, bytes] = channel.stream_stream(f"/{SERVICE}/{method}")()
        try:
            for message in messages:
                await call.write(message)
            async with asyncio.timeout(WAIT_S):
                while await call.read() is not grpc.aio.EOF:
                    pass
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            pass
        return await call.code(), await call.details() or ""


GARBAGE = b"\xff\xfe\xfd garbage"
BAD_UTF8 = b"\x12\x07\x12\x05hell\xff"


@pytest.mark.parametrize("method", ["Connect", "Publish"])
async def test_garbage_is_answered_with_a_sentence(method: str) -> None:
    async with RunningReplica() as server, NodePeer(server.listen) as healthy:
        await healthy.hello()
        for garbage in (GARBAGE, BAD_UTF8):
            code, details = await raw(server, method, garbage)
            assert code is grpc.StatusCode.INVALID_ARGUMENT
            assert "are no livecomments.v1." in details
        await healthy.beats()


async def test_a_message_over_the_limit_ends_only_its_own_stream() -> None:
    async with (
        RunningReplica(message_bytes_max=10_000, batch_bytes_max=5000) as server,
        NodePeer(server.listen) as healthy,
    ):
        await healthy.hello()
        for method in ("Connect", "Publish"):
            assert (await raw(server, method, b"x" * 10_001))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
        code, details = await raw(server, "Publish", b"x" * 5001)
        assert (code, details) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "a batch has at most 5000 bytes, not 5001")
        await healthy.beats()


async def test_the_first_message_of_a_node_must_be_a_hello() -> None:
    async with RunningReplica() as server, NodePeer(server.listen) as node:
        await node.say(beat=Beat())
        code, details = await node.ended()
        assert code is grpc.StatusCode.FAILED_PRECONDITION
        assert details == "the first message must be a hello, not beat"


async def test_a_stream_that_says_nothing_is_closed() -> None:
    async with RunningReplica(hello_ms=50) as server:
        code, details = await raw(server, "Connect")
        assert (code, details) == (grpc.StatusCode.FAILED_PRECONDITION, "no hello within 50 ms")


async def test_a_second_hello_is_refused() -> None:
    async with RunningReplica() as server, NodePeer(server.listen) as node:
        await node.hello()
        with pytest.raises(grpc.aio.AioRpcError, match="beats, interests and deliveries, not hello") as refused:
            await node.hello()
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_limits_on_nodes_videos_and_publishers() -> None:
    limits = {"nodes_max": 1, "videos_per_node_max": 2, "publishers_max": 1, "batch_comments_max": 2}
    async with RunningReplica(**limits) as server, NodePeer(server.listen) as node:
        await node.hello({"a": 1})
        async with NodePeer(server.listen, "rms-2") as second:
            with pytest.raises(grpc.aio.AioRpcError, match="this replica takes at most 1 nodes"):
                await second.hello()
        async with PublisherPeer(server.listen) as publisher:
            await publisher.publishes(1, comment(1, "nobody"))
            assert await publisher.is_answered() == 1
            async with PublisherPeer(server.listen) as another:
                assert (await another.ended())[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
            await publisher.publishes(2, *(comment(i) for i in (1, 2, 3)))
            code, details = await publisher.ended()
            assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "at most 2 comments" in details
        await node.say(interest=Interest(number=1, joined=["b", "c"]))
        code, details = await node.ended()
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "at most 2 videos" in details


@pytest.mark.parametrize("video_id", ["", "a b", "a\n", "ä", "x" * 129])
async def test_what_is_no_video_id_cannot_be_joined_or_placed(video_id: str) -> None:
    async with RunningReplica() as server, NodePeer(server.listen) as node, PublisherPeer(server.listen) as asker:
        await node.hello()
        with pytest.raises(grpc.aio.AioRpcError, match="no video id") as refused:
            await asker.stub.Place(PlaceRequest(video_id=video_id))
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        await node.say(interest=Interest(number=1, joined=[video_id]))
        assert (await node.ended())[0] is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_comment_without_an_id_and_an_acknowledgement_of_nothing_are_refused() -> None:
    async with RunningReplica() as server, NodePeer(server.listen) as node, PublisherPeer(server.listen) as publisher:
        await publisher.publishes(1, comment(5), comment(0))
        assert (await publisher.ended())[0] is grpc.StatusCode.INVALID_ARGUMENT
        await node.hello()
        await node.acknowledges(1)
        assert (await node.ended())[0] is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_publisher_with_many_unanswered_batches_is_not_read() -> None:
    async with (
        RunningReplica(unanswered_batches_max=2) as server,
        PublisherPeer(server.listen) as publisher,
        NodePeer(server.listen) as node,
    ):
        await node.hello({"a": 1})
        for seq in (1, 2, 3):
            await publisher.publishes(seq, comment(seq, "a"))
        numbers = [await node.receives(1), await node.receives(2)]
        await node.beats()
        await node.acknowledges(numbers[1])
        assert {await publisher.is_answered(), await publisher.is_answered()} == {1, 2}
        await node.acknowledges(await node.receives(3))
        assert await publisher.is_answered() == 3


async def test_a_publisher_that_has_said_all_gets_its_answers_and_then_the_end() -> None:
    async with RunningReplica() as server, PublisherPeer(server.listen) as publisher, NodePeer(server.listen) as node:
        await node.hello({"a": 1})
        await publisher.publishes(1, comment(1, "a"))
        await publisher.call.done_writing()
        await node.acknowledges(await node.receives(1))
        assert await publisher.is_answered() == 1
        assert await publisher.ended() == (grpc.StatusCode.OK, "")


async def test_streams_leave_nothing_behind() -> None:
    async with RunningReplica() as server:
        for number in range(20):
            async with PublisherPeer(server.listen) as publisher, NodePeer(server.listen, f"rms-{number}") as node:
                await node.hello({"a": 1})
                await publisher.publishes(1, comment(1, "a"))
                await node.receives(1)
        await eventually(lambda: not server.replica.registry.nodes())
        await eventually(lambda: not server.replica.publishers)
        assert not server.replica.links
        assert server.replica.registry.statistics().interests == 0


# Viewers and operators


async def test_a_viewer_is_placed_where_the_video_is_or_told_that_there_is_no_room() -> None:
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
        assert (known.nodes[0].videos, known.nodes[0].unacked_comments, known.nodes[0].state) == (2, 1, "live")
        assert (known.nodes[1].viewers, known.nodes[1].capacity_viewers) == (3, 77)
        assert [(video.video_id, video.viewers) for video in known.videos] == [("a", 8)]
        assert known.videos_total == 2
        only_b = await asker.stub.Topology(TopologyRequest(video_id="b"))
        assert [node.node_id for node in only_b.nodes] == ["rms-1"]
        assert list(only_b.videos[0].node_ids) == ["rms-1"]
        nothing = await asker.stub.Topology(TopologyRequest(video_id="c"))
        assert (len(nothing.nodes), len(nothing.videos)) == (0, 0)


async def test_an_unfinished_batch_of_another_version_is_read_as_far_as_it_is_known() -> None:
    newer = PublishRequest(seq=3, comments=[Comment(id=1, video_id="nobody")]).SerializeToString() + b"\xfa\x07\x01x"
    async with RunningReplica() as server, grpc.aio.insecure_channel(server.listen) as channel:
        call: grpc.aio.StreamStreamCall[bytes, bytes] = channel.stream_stream(f"/{SERVICE}/Publish")()
        await call.write(newer)
        assert await call.read() == b"\x08\x03"


# Draining, explaining, watching


async def test_an_operators_word_reaches_the_node_and_the_nodes_word_counts() -> None:
    async with RunningReplica() as server, NodePeer(server.listen) as node, PublisherPeer(server.listen) as operator:
        await node.hello({"a": 1})
        await operator.stub.Drain(DrainRequest(node_id="rms-1", draining=True, over_ms=60_000))
        word = (await node.hears("drain")).drain
        assert (word.draining, word.over_ms) == (True, 60_000)
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


async def test_nodes_are_told_the_viewers_of_their_videos_on_all_nodes() -> None:
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
        assert (known.video.viewers, known.nodes[0].unacked_comments, known.next.node_id) == (1, 1, "rms-1")
        assert known.nodes[0].HasField("waiting_ms")
        assert (known.publishers[0].batches, known.publishers[0].unanswered_batches) == (1, 1)
        await node.acknowledges(number)
        assert await asker.is_answered() == 1
        known = await asker.stub.Explain(ExplainRequest(video_id="a"))
        assert not known.nodes[0].HasField("waiting_ms")
        assert known.nodes[0].HasField("acked_ms_ago")
        assert server.replica.registry.statistics().promised_viewers == 0


async def test_a_watcher_is_told_who_comes_drains_spills_and_goes() -> None:
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
        told = []
        async with asyncio.timeout(WAIT_S):
            async for event in events:
                told.append((event.kind, event.node_id, event.video_id))
                if event.kind == "node_left":
                    break
        assert told == [
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
