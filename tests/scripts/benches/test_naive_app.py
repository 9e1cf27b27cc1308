"""scripts/benches/naive_app.py"""

import aiohttp

from scripts.benches.naive_app import app, queues
from tests.scripts.benches.serving import serve
from tests.waiting import eventually


async def test_what_is_published_comes_to_a_viewer() -> None:
    async with serve(app) as port, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        async with session.get("/events") as stream:
            await eventually(lambda: len(queues) == 1)
            async with session.post("/publish", data=b"hello") as answer:
                assert answer.status == 200
            assert [await stream.content.readline() for _ in range(3)] == [b"id: 0\n", b"data: hello\n", b"\n"]
        await eventually(lambda: not queues)
