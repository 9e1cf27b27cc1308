"""What peers must not send, over real gRPC: each is refused with a sentence, and disturbs nobody else."""

import asyncio

import grpc
import grpc.aio
import pytest

from dispatcher.server import Server
from dispatcher.servicer import SERVICE
from proto.channel import aio_channel
from proto.dispatch_pb2 import (
    Beat,
    Interest,
    PlaceRequest,
)
from tests.dispatcher.peers import WAIT_S, NodePeer, PublisherPeer, RunningReplica, comment
from tests.waiting import eventually


async def raw(server: Server, method: str, *messages: bytes) -> tuple[grpc.StatusCode, str]:
    """Sends these bytes on a new stream, and says how it ended"""
    async with aio_channel(server.listen, None) as channel:
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
BAD_UTF8_HELLO = b"\x0a\x03\x0a\x01\xff"
BAD_UTF8_BATCH = b"\x22\x03\x0a\x01\xff"


@pytest.mark.parametrize(
    ("method", "garbage"),
    [("Connect", GARBAGE), ("Connect", BAD_UTF8_HELLO), ("Publish", GARBAGE), ("Publish", BAD_UTF8_BATCH)],
)
async def test_garbage_is_answered_with_a_sentence(method: str, garbage: bytes) -> None:
    async with RunningReplica() as server, NodePeer(server.listen) as healthy:
        await healthy.hello()
        code, details = await raw(server, method, garbage)
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "are no livecomments.v1." in details
        await healthy.beats()


async def test_a_message_over_the_limit_ends_only_its_own_stream() -> None:
    async with (
        RunningReplica() as server,
        NodePeer(server.listen) as healthy,
    ):
        await healthy.hello()
        for method in ("Connect", "Publish"):
            assert (await raw(server, method, bytes(8 << 20) + b"x"))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
        code, details = await raw(server, "Publish", bytes(3 << 20) + b"x")
        assert (code, details) == (grpc.StatusCode.INVALID_ARGUMENT, "a batch has at most 3145728 bytes, not 3145729")
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
    limits = {"nodes_max": 1, "videos_per_node_max": 2, "publishers_max": 1}
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
            await publisher.publishes(2, *(comment(i) for i in range(1, 1002)))
            code, details = await publisher.ended()
            assert code is grpc.StatusCode.INVALID_ARGUMENT
            assert "at most 1000 events, not 1001" in details
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


async def test_an_event_without_an_id_and_an_acknowledgement_of_nothing_are_refused() -> None:
    async with RunningReplica() as server, NodePeer(server.listen) as node, PublisherPeer(server.listen) as publisher:
        await publisher.publishes(1, comment(5), comment(0))
        assert (await publisher.ended())[0] is grpc.StatusCode.INVALID_ARGUMENT
        await node.hello()
        await node.acknowledges(1)
        assert (await node.ended())[0] is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_batch_that_is_too_large_is_refused_for_good_and_not_only_for_now() -> None:
    async with RunningReplica() as server, PublisherPeer(server.listen) as publisher:
        await publisher.publishes(1, comment(1, "a", "x" * (3 << 20)))
        code, details = await publisher.ended()
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert details.startswith("a batch has at most 3145728 bytes, not 3145")


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
