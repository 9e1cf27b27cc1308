"""scripts/benches/buffers_app.py"""

import asyncio

import aiohttp

from scripts.benches.buffers_app import Connection, viewers
from tests.waiting import eventually


async def test_what_is_published_comes_to_a_viewer() -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        async with session.get("/events") as stream:
            await eventually(lambda: len(viewers) == 1)
            for message in (b"hello", b"again"):
                async with session.post("/publish", data=message) as answer:
                    assert answer.status == 200
                lines = [await stream.content.readline() for _ in range(3)]
                assert lines == [b"id: 0\n", b"data: %b\n" % message, b"\n"]
        await eventually(lambda: not viewers)
