"""What is due is published, however slow the server is; and comments at full speed carry when they were due."""

import asyncio
import json
import time

import grpc
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from proto.event_pb2 import VideoEvents
from scripts.benches.config import FanoutSettings
from scripts.benches.publishing import at_full_speed, publish_grpc, publish_http, steadily
from scripts.benches.schedule import VIDEO, Line, Schedule, due_ns_of
from scripts.benches.servers import rms
from scripts.plan import free_ports
from tests.scripts.benches.serving import serve


async def test_http_has_as_many_posts_under_way_as_connections() -> None:
    bodies: list[bytes] = []
    under_way = most = 0
    enough = asyncio.Event()

    async def take(request: Request) -> Response:
        nonlocal under_way, most
        bodies.append(await request.body())
        under_way += 1
        most = max(most, under_way)
        if under_way == 3:
            enough.set()
        await enough.wait()  # nobody is answered before three are here
        under_way -= 1
        return Response()

    schedule = Schedule(time.monotonic_ns(), rate=1_000, count=10)
    async with serve(Starlette(routes=[Route("/publish", take, methods=["POST"])])) as port:
        await publish_http(f"http://127.0.0.1:{port}/publish", schedule, connections=3)
    assert time.monotonic_ns() >= schedule.due_ns(9)
    assert sorted(bodies) == [schedule.data(number).encode() for number in range(10)]
    assert most == 3


async def test_grpc_returns_when_all_is_acknowledged() -> None:
    async with rms(1) as server:
        schedule = Schedule(time.monotonic_ns(), rate=1_000, count=20)
        assert await publish_grpc(server.dispatcher, steadily(schedule), FanoutSettings(unanswered_batches=2)) == 20
        assert time.monotonic_ns() >= schedule.due_ns(19)


async def test_who_is_not_there_takes_nothing() -> None:
    with pytest.raises(grpc.RpcError):
        await publish_grpc(f"127.0.0.1:{free_ports(1)[0]}", at_full_speed(0.1, 10, b"hi"))


async def test_batches_at_full_speed_are_what_protobuf_makes() -> None:
    batches = [batch async for batch in at_full_speed(0.01, 5, b"x" * 200)]
    ids: list[int] = []
    for batch in batches:
        video = VideoEvents.FromString(batch.encoded)
        assert (batch.video_id, video.video_id, batch.events) == (VIDEO, VIDEO, 5)
        of_batch = [event.id for event in video.events]
        assert (batch.low_id, batch.high_id) == (of_batch[0], of_batch[-1])
        for event in video.events:
            assert (event.data, event.WhichOneof("body")) == (b"x" * 200, "comment")
        ids += of_batch
    assert ids == sorted(set(ids))


async def test_what_is_due_carries_its_time_as_a_viewer_gets_it() -> None:
    schedule = Schedule(time.monotonic_ns(), rate=10_000, count=3, lines=(Line("ann", "hi"),))
    events = [event async for batch in steadily(schedule) for event in VideoEvents.FromString(batch.encoded).events]
    assert [due_ns_of(event.data) for event in events] == [schedule.due_ns(number) for number in range(3)]
    assert json.loads(events[0].data)["author"]["name"] == "ann"
