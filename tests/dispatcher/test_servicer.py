"""dispatcher/servicer.py and replica.py over real gRPC: who gets what, when a batch is answered, how a stream ends."""

import asyncio

import grpc
import grpc.aio
import pytest

from dispatcher.clocks import wall_ms
from history.core.ids import first_id_at
from proto.dispatch_pb2 import CatchUp, PublishRequest, TopologyRequest, Unreadable
from proto.event_pb2 import Event, Hidden, VideoEvents
from tests.dispatcher.peers import NodePeer, PublisherPeer, RunningReplica, batches, comment
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


async def test_an_event_arrives_as_it_was_published() -> None:
    data = "zwölf Boxkämpfer \\u2028 <b>".encode()
    known = Event(id=2**63 - 1, after_id=3, hidden_from_id=2, name="n", data=data, hidden=Hidden(comment_id=7))
    unknown = Event.FromString(Event(id=9, name="poll", data=b"{}").SerializeToString() + b"\xfa\x07\x01x")
    async with RunningReplica() as server, PublisherPeer(server.listen) as publisher, NodePeer(server.listen) as node:
        await node.hello({"a": 1})
        await publisher.publishes(1, ("a", known), ("a", unknown))
        deliver = (await node.hears("deliver")).deliver
        assert list(deliver.videos) == [VideoEvents(video_id="a", events=[known, unknown])]
        assert deliver.videos[0].events[1].SerializeToString() == unknown.SerializeToString()


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
        await publisher.publishes(2, comment(2))
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


async def test_a_slow_node_is_cut_and_has_to_catch_up() -> None:
    async with RunningReplica(outbox_events_max=5) as server, PublisherPeer(server.listen) as publisher:
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


async def test_a_node_that_was_cut_off_longer_than_a_lease_catches_up_at_a_restarted_replica() -> None:
    async with RunningReplica(lease_ms=2000) as server:
        async with NodePeer(server.listen) as cut_off:
            from_id = (await cut_off.hello({"a": 1}, silent_ms=30_000)).catch_up_from_id
            assert 0 < from_id < first_id_at(wall_ms() - 30_000)
        async with NodePeer(server.listen, "rms-2") as connected:
            assert (await connected.hello({"a": 1}, silent_ms=1000)).catch_up_from_id == 0


async def test_a_node_that_comes_back_learns_what_it_may_have_missed() -> None:
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
            await publisher.orders_catch_up(7, 42, up_to_id=50, service=3)
            for node in (one, two):
                message = (await node.hears("catch_up")).catch_up
                assert message == CatchUp(number=1, from_id=42, up_to_id=50, service=3)
            await one.acknowledges(1)
            assert not (await answered_soon(publisher)).done()
        async with NodePeer(server.listen, "rms-3") as later:
            assert (await later.hello({"a": 1})).catch_up_from_id == 42


async def test_a_catch_up_of_some_videos_goes_only_to_nodes_that_serve_one_of_them() -> None:
    async with (
        RunningReplica() as server,
        PublisherPeer(server.listen) as publisher,
        NodePeer(server.listen, "rms-1") as both,
        NodePeer(server.listen, "rms-2") as one,
        NodePeer(server.listen, "rms-3") as none,
    ):
        await both.hello({"a": 1, "b": 1, "d": 1})
        await one.hello({"b": 1})
        await none.hello({"d": 1})
        await publisher.orders_catch_up(7, 42, "a", "b", "nobody", "b")
        assert (await both.hears("catch_up")).catch_up == CatchUp(number=1, from_id=42, video_ids=["a", "b"])
        assert (await one.hears("catch_up")).catch_up == CatchUp(number=1, from_id=42, video_ids=["b"])
        for node in (both, one):
            await node.acknowledges(1)
        assert await publisher.is_answered() == 7
        assert await none.beats() == {"d": 1}  # it has heard of nothing else


async def test_a_node_learns_what_history_lacks_before_it_opens_a_video() -> None:
    def say(seq: int, from_id: int | None = None) -> PublishRequest:
        unreadable = None if from_id is None else Unreadable(service=3, from_id=from_id)
        return PublishRequest(seq=seq, videos=batches(comment(seq)), unreadable=unreadable)

    async with RunningReplica() as server, PublisherPeer(server.listen) as service, NodePeer(server.listen) as early:
        assert list((await early.hello()).unreadable) == []
        await service.sends(say(1, from_id=40))
        assert await service.is_answered() == 1
        await early.joins("a")
        assert list(early.unreadable) == [Unreadable(service=3, from_id=40)]
        async with NodePeer(server.listen, "rms-2") as late:
            assert list((await late.hello()).unreadable) == [Unreadable(service=3, from_id=40)]
        await service.sends(say(2))
        assert await service.is_answered() == 2
        await early.joins("b")
        assert list(early.unreadable) == []


async def test_each_response_tells_the_largest_id() -> None:
    now_ms = wall_ms()
    ahead = first_id_at(now_ms + 60_000)
    async with RunningReplica() as server, PublisherPeer(server.listen) as one, PublisherPeer(server.listen) as other:
        await one.publishes(1, comment(first_id_at(now_ms) + 5), comment(first_id_at(now_ms)))
        assert await one.is_answered() == 1
        assert one.answer.newest_id == first_id_at(now_ms) + 5
        await other.publishes(1, comment(7), comment(ahead, "b"))
        assert await other.is_answered() == 1
        assert other.answer.newest_id == first_id_at(now_ms) + 5


async def test_a_response_tells_whether_a_living_node_may_lack_it() -> None:
    async with RunningReplica(lease_ms=200, beat_ms=100) as server, PublisherPeer(server.listen) as publisher:
        seq = 0
        while seq == 0 or publisher.answer.in_doubt:
            seq += 1
            await publisher.publishes(seq, comment(seq))
            assert await publisher.is_answered() == seq
    async with RunningReplica() as server, PublisherPeer(server.listen) as publisher:
        await publisher.publishes(1, comment(1))
        assert await publisher.is_answered() == 1
        assert publisher.answer.in_doubt


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
