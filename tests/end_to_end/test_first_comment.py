"""The first comment: posted with plain HTTP, it appears on the stream and in the page."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.system import System


@pytest.fixture
async def system() -> AsyncIterator[System]:
    async with System() as system:
        yield system


async def test_a_posted_comment_is_on_the_stream_and_in_the_page(system: System) -> None:
    async with aiohttp.ClientSession(system.base_url) as session:
        stream = {"Accept": "text/event-stream"}
        async with session.get("/comments/demo", headers=stream, allow_redirects=False) as place:
            assert place.status == 307
            location = place.headers["Location"]
        assert location in [f"http://{part.address}/comments/demo" for part in system.plan["rms"]]

        async with session.get("/comments/demo", headers=stream) as live:
            assert (live.status, live.content_type, str(live.url)) == (200, "text/event-stream", location)
            body = {"liveVideoId": "demo", "message": "größer <b> 🎉", "author": {"name": "Ann"}}
            async with session.post("/comment/create", json=body) as created:
                assert created.status == 200
                comment = await created.json()
            assert (comment["message"], comment["author"]["name"]) == ("größer <b> 🎉", "Ann")
            async with asyncio.timeout(10):
                text = ""
                while f'"id":"{comment["id"]}"' not in text:
                    text += (await live.content.readany()).decode()
            assert "\nid: " in f"\n{text}"

        for path in ("/comments/demo", "/comment/demo"):
            async with session.get(path) as page:
                assert (await page.json()) == {"comments": [comment], "nextCursor": None}


async def test_a_new_viewer_gets_the_last_comments_first(system: System) -> None:
    async with aiohttp.ClientSession(system.base_url) as session:
        for number in range(3):
            async with session.post("/comment/create", json={"liveVideoId": "v", "message": f"m{number}"}) as created:
                assert created.status == 200
        async with session.get("/comments/v", headers={"Accept": "text/event-stream"}) as live, asyncio.timeout(10):
            text = ""
            while '"m2"' not in text:
                text += (await live.content.readany()).decode()
        assert text.index('"m0"') < text.index('"m1"') < text.index('"m2"')
