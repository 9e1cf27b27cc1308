"""A part of the system is away: everything else works, and streams get a 503 with Retry-After."""

import asyncio

import aiohttp

from scripts.audience import Audience
from tests.system import System
from tests.waiting import eventually

STREAM = {"Accept": "text/event-stream"}


async def test_without_a_dispatcher_people_post_and_read_and_streams_get_retry_after() -> None:
    async with System(dispatchers=1, rms=1, restart=False) as system, aiohttp.ClientSession(system.base_url) as session:
        await system.kill("dispatcher")
        async with session.post("/comment/create", json={"liveVideoId": "v", "message": "anybody?"}) as created:
            assert created.status == 200
        async with session.get("/comments/v") as page:
            assert [comment["message"] for comment in (await page.json())["comments"]] == ["anybody?"]
        async with session.get("/comments/v", headers=STREAM, allow_redirects=False) as stream:
            assert stream.status == 503
            assert int(stream.headers["Retry-After"]) >= 1
            assert (await stream.json())["error"]["message"]

        await system.start_again("dispatcher")
        await eventually(lambda: streams_again(session))


async def test_without_an_rms_people_post_and_streams_get_retry_after() -> None:
    async with System(dispatchers=1, rms=1, restart=False) as system, aiohttp.ClientSession(system.base_url) as session:
        await system.kill("rms")

        async def is_refused() -> bool:  # once the dispatcher has noticed
            async with session.get("/comments/v", headers=STREAM, allow_redirects=False) as stream:
                return stream.status == 503 and "Retry-After" in stream.headers

        await eventually(is_refused)
        async with session.post("/comment/create", json={"liveVideoId": "v", "message": "anybody?"}) as created:
            assert created.status == 200
        await system.start_again("rms")
        await eventually(lambda: streams_again(session))


async def test_comments_posted_while_no_dispatcher_was_there_reach_a_viewer_who_stayed() -> None:
    async with (
        System(dispatchers=1, rms=1, restart=False) as system,
        aiohttp.ClientSession(system.base_url) as session,
        session.get("/comments/v", headers=STREAM) as live,
    ):
        await system.kill("dispatcher")
        async with session.post("/comment/create", json={"liveVideoId": "v", "message": "in the dark"}) as created:
            assert created.status == 200
        await system.start_again("dispatcher")
        async with asyncio.timeout(20):
            text = ""
            while "in the dark" not in text:
                text += (await live.content.readany()).decode()


async def test_comments_that_the_outbox_dropped_are_read_from_history() -> None:
    """Posts many more comments than it may keep, with every replica dead. Viewers still get all of them."""

    def small(role: str) -> list[str]:
        return ["--publish-backlog-max", "20"] if role == "comment-service" else []

    async with (
        System(rms=2, restart=False, more_flags=small) as system,
        aiohttp.ClientSession(system.base_url) as session,
        aiohttp.ClientSession(system.operators_url) as operators,
    ):
        audience = Audience(f"{system.base_url}/comments/v", 3)
        async with audience.watching(connect_timeout_s=20):
            for number in (1, 2):
                await system.kill("dispatcher", number)
            posted = set()
            for number in range(200):
                async with session.post("/comment/create", json={"liveVideoId": "v", "message": f"m{number}"}) as made:
                    assert made.status == 200
                    posted.add((await made.json())["id"])
            publisher = await publisher_of(operators)
            assert (publisher["backlog"], publisher["dropped"], publisher["catching_up"]) == (20, 180, True)
            assert publisher["connected"] is None
            for number in (1, 2):
                await system.start_again("dispatcher", number)
            assert await audience.wait_for(posted, timeout_s=30)
            await eventually(lambda: is_settled(operators))
        assert not any(record.repeated for record in audience.records)


async def publisher_of(session: aiohttp.ClientSession) -> dict[str, object]:
    async with session.get("/health") as health:
        return dict((await health.json())["publisher"])


async def is_settled(session: aiohttp.ClientSession) -> bool:
    publisher = await publisher_of(session)
    return not (publisher["backlog"] or publisher["in_flight"] or publisher["catching_up"])


async def streams_again(session: aiohttp.ClientSession) -> bool:
    async with session.get("/comments/v", headers=STREAM) as stream:
        return stream.status == 200
