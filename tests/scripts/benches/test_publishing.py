"""scripts/benches/publishing.py, against a server that is slow"""

import asyncio
import time

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from scripts.benches.ours import Rms
from scripts.benches.publishing import publish_grpc, publish_http
from scripts.benches.schedule import Schedule
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
        taken_ns = await publish_http(f"http://127.0.0.1:{port}/publish", schedule, connections=3)
    assert taken_ns >= schedule.due_ns(9)
    assert sorted(bodies) == [schedule.data(number).encode() for number in range(10)]
    assert most == 3


async def test_grpc_returns_when_all_is_acknowledged() -> None:
    async with Rms(1) as server:
        schedule = Schedule(time.monotonic_ns(), rate=1_000, count=20)
        taken_ns = await publish_grpc(server._dispatcher, schedule)
    assert taken_ns >= schedule.due_ns(19)
