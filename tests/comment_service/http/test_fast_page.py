"""FastPage: answers as the app behind it does, is never staler than the cache, and leaves to it what is no page"""

import asyncio
import time
from typing import Any

import pytest

from history.core.ids import first_id_at, format_id
from history.core.model import Author, Comment
from tests.comment_service.conftest import RunningService, StartService
from tests.waiting import eventually

PATH = "/comments/demo"


async def post(running: RunningService, message: str) -> str:
    async with running.http.post("/comment/create", json={"videoId": "demo", "message": message}) as answer:
        assert answer.status == 200
        return str((await answer.json())["id"])


async def get(running: RunningService, path: str = PATH, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    async with running.http.get(path, headers=names, allow_redirects=False) as got:
        # The lines of a header that comes more than once are one list (RFC 9110, 5.3).
        shown = {name.lower(): ", ".join(got.headers.getall(name)) for name in got.headers if name.lower() != "date"}
        return got.status, await got.read(), shown


def hits(running: RunningService) -> int:
    return running.service.kept_pages.statistics().hits


async def warm(running: RunningService, path: str = PATH) -> None:
    """The page is kept."""
    before = hits(running)

    async def is_hit() -> bool:
        await get(running, path)
        return hits(running) > before

    await eventually(is_hit)


@pytest.mark.parametrize("origins", ["*", "https://here.example"])
async def test_both_ways_answer_alike(start_service: StartService, origins: str) -> None:
    running = await start_service(cors_origins=origins, cache_tip_ms=60_000)
    cursor = await post(running, "hi")
    await post(running, "😀")
    for path in (PATH, f"{PATH}?pagesize=1", f"{PATH}?cursor={cursor}", "/comment/demo"):
        for origin in ({}, {"origin": "https://here.example"}, {"origin": "https://stranger.example"}):
            await warm(running, path)
            etag = (await get(running, path))[2]["etag"]
            for known in ({}, {"if_none_match": etag}, {"if_none_match": "*"}, {"if_none_match": '"other"'}):
                before = hits(running)
                fast = await get(running, path, **origin, **known)
                assert hits(running) == before + 1
                running.service.kept_pages._pages.clear()
                assert fast == await get(running, path, **origin, **known)
                await warm(running, path)


async def test_a_connection_that_ends_gets_its_answer(start_service: StartService) -> None:
    running = await start_service(cache_tip_ms=60_000)
    await post(running, "hi")
    await warm(running)
    status, body, headers = await get(running, connection="close")
    assert (status, headers["connection"]) == (200, "close")
    assert body == (await get(running))[1]
    async with running.http.head(PATH) as answer:
        assert int(answer.headers["content-length"]) == len(body)


async def test_requests_in_a_row_are_answered_in_order(start_service: StartService) -> None:
    running = await start_service(cache_tip_ms=60_000)
    await post(running, "hi")
    await warm(running)
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    head = b"HTTP/1.1\r\nhost: x\r\n\r\n"
    writer.write(b"GET /comments/demo " + head + b"GET /health/live " + head + b"GET /comments/demo " + head)
    text = b""
    async with asyncio.timeout(10):
        while text.count(b"nextCursor") < 2:
            text += await reader.read(10_000)
    writer.close()
    assert text.count(b"HTTP/1.1 200 OK") == 3
    assert text.index(b"nextCursor") < text.index(b'"status":"ok"') < text.rindex(b"nextCursor")


async def test_a_viewer_gets_the_stream(start_service: StartService) -> None:
    running = await start_service(cache_tip_ms=60_000)
    await warm(running)
    status, _, _ = await get(running, accept="text/event-stream")
    assert status == 503  # nobody is there who could place him


async def test_new_and_erased_comments_show_at_once(start_service: StartService) -> None:
    running = await start_service(cache_tip_ms=60_000, admin_token="t", moderate_published_ms=1)
    for n in range(3):
        comment_id = await post(running, f"comment {n}")
        assert comment_id in (await get(running))[1].decode()
        await warm(running)
        assert comment_id in (await get(running))[1].decode()
    async with running.http.delete(f"{PATH}/{comment_id}", headers={"authorization": "Bearer t"}) as answer:
        assert answer.status == 202  # nobody is there to publish it
    assert comment_id not in (await get(running))[1].decode()


async def test_what_others_write_shows_after_the_tips_time(start_service: StartService) -> None:
    running = await start_service(cache_tip_ms=50)
    await warm(running)
    now_ms = time.time_ns() // 1_000_000
    new = Comment(first_id_at(now_ms), "demo", Author("guest:Ann", "Ann"), "hi", now_ms)
    await running.service.lazy_store.append([new])

    async def is_seen() -> bool:
        return format_id(new.id) in (await get(running))[1].decode()

    await eventually(is_seen)


async def test_what_comes_late_from_another_node_shows_in_closed_pages(start_service: StartService) -> None:
    running = await start_service(forget_ms=10)
    old_ms = time.time_ns() // 1_000_000 - 3_600_000

    def said(at_ms: int) -> Comment:
        return Comment(first_id_at(at_ms), "demo", Author("guest:Ann", "Ann"), "hi", at_ms)

    await running.service.lazy_store.append([said(old_ms), said(old_ms + 2_000)])
    path = f"{PATH}?cursor={format_id(first_id_at(old_ms + 3_000))}"
    await warm(running, path)
    assert "max-age" in (await get(running, path))[2]["cache-control"]
    late = said(old_ms + 1_000)
    await running.service.lazy_store.append([late])  # as another node does that drains its spool

    async def is_seen() -> Any:
        return format_id(late.id) in (await get(running, path))[1].decode()

    await eventually(is_seen)
