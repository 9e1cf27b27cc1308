"""Who has no certificate of the cluster can do nothing at a dispatcher: not register, not publish, not ask.

The methods come from the running replica itself. So one that is added later is tried as well.
"""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from proto.channel import Unreachable, aio_channel, wait_connected, why_unreachable
from proto.tls import Tls
from tests.certificates import files, make_certificates, tls_of
from tests.dispatcher.peers import NodePeer, RunningReplica

WAITS_S = 2
"""A stranger is refused within milliseconds. On a busy machine that takes longer, so his connection is tried first."""


async def methods_of(address: str, tls: Tls) -> list[MethodDescriptor]:
    """All that the replica serves, as its reflection says"""
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    async with aio_channel(address, tls) as channel:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)  # type: ignore[arg-type]  # it is generic
        answer = await stub.ServerReflectionInfo(iter([request])).read()
    pool = descriptor_pool.Default()
    services = [pool.FindServiceByName(service.name) for service in answer.list_services_response.service]
    return [method for service in services for method in service.methods]


async def refusal(channel: Any, method: MethodDescriptor) -> str:
    """Calls it with an empty message. Why there was no connection for that; empty: the replica has taken the call. One
    that it neither answers nor ends within WAITS_S, it has taken."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    kinds = {
        (False, False): (channel.unary_unary, b""),
        (False, True): (channel.unary_stream, b""),
        (True, False): (channel.stream_unary, iter([b""])),
        (True, True): (channel.stream_stream, iter([b""])),
    }
    begin, said = kinds[method.client_streaming, method.server_streaming]
    call = begin(path)(said, timeout=WAITS_S)
    try:
        await (call.read() if method.server_streaming else call)
    except grpc.aio.AioRpcError as error:
        return why_unreachable(error)
    call.cancel()
    return ""


@pytest.mark.parametrize("shown", ["none", "in clear", "another authority's"])
async def test_every_call_of_a_stranger_ends_at_the_handshake(tmp_path: Path, shown: str) -> None:
    cluster, strangers = tmp_path / "cluster", tmp_path / "strangers"
    await asyncio.to_thread(make_certificates, cluster)
    await asyncio.to_thread(make_certificates, strangers)
    cert, key, authority = files(cluster, "dispatcher")
    theirs, their_key, _ = files(strangers, "rms")
    async with RunningReplica(tls_cert=cert, tls_key=key, tls_ca=authority) as server:
        ours = tls_of(cluster, "rms")
        methods = await methods_of(server.listen, ours)
        names = {method.name for method in methods}
        assert {"Connect", "Publish", "Place", "Topology", "Drain", "Check", "ServerReflectionInfo"} <= names
        tls = {
            "none": Tls("", "", authority),
            "in clear": None,
            "another authority's": Tls(theirs, their_key, authority),
        }[shown]
        async with aio_channel(server.listen, tls) as channel:
            with pytest.raises(Unreachable):
                await wait_connected(channel, 30_000)
            taken = [method.full_name for method in methods if not await refusal(channel, method)]
        assert taken == []
        async with NodePeer(server.listen, tls=ours) as node:
            assert await node.hello(), "one of the cluster is still let in"


async def test_every_call_of_a_member_is_let_in(tmp_path: Path) -> None:
    """Otherwise the test above would show nothing. There are no roles: any certificate of the authority will do."""
    await asyncio.to_thread(make_certificates, tmp_path)
    cert, key, authority = files(tmp_path, "dispatcher")
    async with RunningReplica(tls_cert=cert, tls_key=key, tls_ca=authority) as server:
        ours = tls_of(tmp_path, "rms")
        async with aio_channel(server.listen, ours) as channel:
            for method in await methods_of(server.listen, ours):
                if method.name != "List":  # grpc_health's own: it isn't written yet
                    assert await refusal(channel, method) == ""
