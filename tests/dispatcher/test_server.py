"""dispatcher/server.py and clocks.py: health, reflection, an end that waits for batches, and a steady clock"""

import asyncio
import socket

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from dispatcher.__main__ import build
from dispatcher.clocks import steady_clock_ms
from dispatcher.config import Config
from dispatcher.servicer import SERVICE
from proto.channel import aio_channel
from tests.dispatcher.peers import NodePeer, PublisherPeer, RunningReplica, comment

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def health(channel: grpc.aio.Channel, service: str) -> int:
    ask: grpc.aio.UnaryUnaryMultiCallable[health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse]
    ask = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    return (await ask(health_pb2.HealthCheckRequest(service=service))).status


async def test_a_stop_is_announced_then_waits_for_batches_and_then_ends_the_streams() -> None:
    server = await build(Config.model_validate({"listen": "127.0.0.1:0"}))
    running = asyncio.create_task(server.run())
    await server.ready.wait()
    async with (
        aio_channel(server.listen, None) as channel,
        NodePeer(server.listen) as node,
        PublisherPeer(server.listen) as publisher,
    ):
        assert [await health(channel, service) for service in ("", SERVICE)] == [SERVING, SERVING]
        await node.hello({"a": 1})
        await publisher.publishes(1, comment(1, "a"))
        number = await node.receives(1)
        # Asked on this stream, because a stopping server takes no new calls.
        watch: grpc.aio.UnaryStreamMultiCallable[health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse]
        watch = channel.unary_stream(
            "/grpc.health.v1.Health/Watch",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        answers = watch(health_pb2.HealthCheckRequest(service=SERVICE))
        assert await anext(aiter(answers)) == health_pb2.HealthCheckResponse(status=SERVING)
        server.stop()
        assert await anext(aiter(answers)) == health_pb2.HealthCheckResponse(status=NOT_SERVING)
        answers.cancel()
        assert not running.done()
        await node.acknowledges(number)
        assert await publisher.is_answered() == 1
        assert (await publisher.ended())[0] is grpc.StatusCode.UNAVAILABLE
        assert (await node.ended())[0] is grpc.StatusCode.UNAVAILABLE
        await running


async def test_reflection_names_the_service_and_finds_its_methods() -> None:
    async with RunningReplica() as server, aio_channel(server.listen, None) as channel:
        ask: grpc.aio.StreamStreamMultiCallable[
            reflection_pb2.ServerReflectionRequest, reflection_pb2.ServerReflectionResponse
        ]
        ask = channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        call = ask()
        await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        answer = await call.read()
        assert isinstance(answer, reflection_pb2.ServerReflectionResponse)
        names = {service.name for service in answer.list_services_response.service}
        assert {SERVICE, "grpc.health.v1.Health"} <= names
        for symbol, found in ((SERVICE, True), (f"{SERVICE}.Place", True), (f"{SERVICE}.Nothing", False)):
            await call.write(reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol))
            answer = await call.read()
            assert isinstance(answer, reflection_pb2.ServerReflectionResponse)
            assert answer.HasField("file_descriptor_response") is found


async def test_the_chosen_port_is_visible_and_names_the_replica() -> None:
    async with RunningReplica() as server:
        assert server.listen.startswith("127.0.0.1:")
        assert not server.listen.endswith(":0")
        assert server.replica.replica_id == server.listen


def test_the_clock_is_steady_and_tells_the_time_since_1970() -> None:
    now_ms = steady_clock_ms()
    readings = [now_ms() for _ in range(1000)]
    assert readings == sorted(readings)
    assert readings[0] > 1_700_000_000_000


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]"])
async def test_replicas_that_listen_on_all_addresses_have_their_hosts_name(host: str) -> None:
    async with RunningReplica(listen=f"{host}:0") as server:
        assert server.listen.startswith(f"{host}:")
        assert server.replica.replica_id == f"{socket.gethostname()}:{server.listen.rpartition(':')[2]}"
