"""Certificates are renewed under a running dispatcher: streams that stand go on, and new connections use what is in the
files then."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from dispatcher.server import Server
from proto.channel import Unreachable, aio_channel, wait_connected
from proto.dispatch_pb2 import TopologyRequest
from proto.dispatch_pb2_grpc import DispatcherStub
from proto.replicas import ReplicaAddresses, ReplicaChannels
from proto.tls import Tls
from tests.certificates import files, make_certificates, new_authority, serial, shown_serial, tls_of, trusted
from tests.dispatcher.peers import NodePeer, PublisherPeer, RunningReplica, comment
from tests.waiting import eventually


def replica(folder: Path) -> RunningReplica:
    cert, key, authority = files(folder, "dispatcher")
    return RunningReplica(tls_cert=cert, tls_key=key, tls_ca=authority)


async def renewed(folder: Path, **options: int) -> None:
    await asyncio.to_thread(make_certificates, folder, **options)


async def shown_by(server: Server, tls: Tls) -> str:
    return await asyncio.to_thread(shown_serial, server.listen, tls)


@asynccontextmanager
async def channels_to(server: Server, tls: Tls) -> AsyncIterator[ReplicaChannels]:
    """As comment_service and door have them"""
    channels = ReplicaChannels(ReplicaAddresses(server.listen, every_ms=5), tls)
    following = asyncio.create_task(channels.follow())
    try:
        yield channels
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await channels.close()


async def ask(channel: grpc.aio.Channel) -> str:
    return (await DispatcherStub(channel).Topology(TopologyRequest(), timeout=10)).replica_id


async def test_a_new_key_and_then_a_new_authority_lose_no_stream(tmp_path: Path) -> None:
    await renewed(tmp_path)
    mine = tls_of(tmp_path, "comment-service")
    async with (
        replica(tmp_path) as server,
        NodePeer(server.listen, tls=tls_of(tmp_path, "rms")) as node,
        PublisherPeer(server.listen, tls=mine) as publisher,
        channels_to(server, mine) as channels,
    ):
        await node.hello()
        await node.joins("demo")
        published = 0
        calling = DispatcherStub(channels[server.listen]).Publish()  # a stream of the oldest channel

        async def assert_a_comment_arrives() -> None:
            nonlocal published
            published += 1
            await publisher.publishes(published, comment(published))
            await node.acknowledges(await node.receives(published))
            assert await publisher.is_answered() == published

        async def assert_all_is_new() -> None:
            assert await shown_by(server, mine) == serial(tmp_path / "dispatcher.pem")
            async with aio_channel(server.listen, mine) as channel:
                assert await ask(channel) == server.listen
            await assert_a_comment_arrives()

        await assert_all_is_new()
        first = channels[server.listen]
        await renewed(tmp_path)
        await assert_all_is_new()
        await eventually(lambda: channels[server.listen] is not first)
        second = channels[server.listen]
        assert await ask(second) == server.listen

        former = new_authority(tmp_path)
        (tmp_path / "former").mkdir()
        for name in ("comment-service.pem", "comment-service.key", "ca.pem"):
            (tmp_path / "former" / name).write_bytes((tmp_path / name).read_bytes())
        await renewed(tmp_path)
        alone = (tmp_path / "ca.pem").read_bytes()
        (tmp_path / "ca.pem").write_bytes(former + alone)
        assert trusted(tmp_path / "ca.pem") == 2
        await assert_all_is_new()
        async with aio_channel(server.listen, tls_of(tmp_path / "former", "comment-service")) as old_only:
            with pytest.raises(Unreachable, match="not of our authority"):
                await wait_connected(old_only, 10_000)

        (tmp_path / "ca.pem").write_bytes(alone)
        (tmp_path / "former" / "ca.pem").write_bytes(former + alone)
        await assert_all_is_new()
        async with aio_channel(server.listen, tls_of(tmp_path / "former", "comment-service")) as stranger:
            with pytest.raises((grpc.aio.AioRpcError, Unreachable)):
                await ask(stranger)
        await eventually(lambda: channels[server.listen] is not second)
        assert await ask(channels[server.listen]) == server.listen
        assert not calling.done(), "a call under way stays on its channel"
        assert channels._retired, "which is closed only when it has lost its connection"


async def test_after_an_outage_by_expired_certificates_all_connect_by_themselves(tmp_path: Path) -> None:
    await renewed(tmp_path, days=-1)
    async with replica(tmp_path) as server, channels_to(server, tls_of(tmp_path, "rms")) as channels:
        with pytest.raises(Unreachable):
            await wait_connected(channels[server.listen], 10_000)
        await renewed(tmp_path)

        async def is_connected() -> bool:
            try:
                return await ask(channels[server.listen]) == server.listen
            except grpc.aio.AioRpcError:
                return False

        await eventually(is_connected)
        assert not channels._retired


async def test_a_successor_that_is_not_taken_leaves_the_channel_that_works(tmp_path: Path) -> None:
    """This side has got its new certificate before the replica knows the authority."""
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    await renewed(theirs)
    ours.mkdir()
    for path in theirs.iterdir():
        (ours / path.name).write_bytes(path.read_bytes())
    async with replica(theirs) as server, channels_to(server, tls_of(ours, "rms")) as channels:
        first = channels[server.listen]
        assert await ask(first) == server.listen
        former = new_authority(ours)
        await renewed(ours)
        bundle = former + (ours / "ca.pem").read_bytes()
        (ours / "ca.pem").write_bytes(bundle)
        await eventually(lambda: channels._pem is not None and channels._pem.authority == bundle)
        assert await ask(channels[server.listen]) == server.listen
        assert channels[server.listen] is first
        (theirs / "ca.pem").write_bytes(bundle)
        await eventually(lambda: channels[server.listen] is not first)
        assert await ask(channels[server.listen]) == server.listen


async def test_a_retired_channel_is_closed_when_its_connection_ends(tmp_path: Path) -> None:
    await renewed(tmp_path)
    async with replica(tmp_path) as server, channels_to(server, tls_of(tmp_path, "rms")) as channels:
        first = channels[server.listen]
        await ask(first)
        await renewed(tmp_path)
        await eventually(lambda: channels[server.listen] is not first)
        assert channels._retired == [first]
        server.stop()
        await eventually(lambda: not channels._retired)
        with pytest.raises(grpc.aio.UsageError):
            await ask(first)
