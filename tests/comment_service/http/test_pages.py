"""Pages in both directions, and who may keep them for how long"""

import time
from typing import Any

from history.core.ids import first_id_at, format_id
from history.core.model import Author, Comment
from history.spool.store import Availability
from tests.comment_service.conftest import RunningService, StartService

OLD_MS = 1_760_000_000_000


async def store_old(running: RunningService, count: int) -> list[str]:
    """Comments of a year ago; their ids, oldest first"""
    comments = [
        Comment(first_id_at(OLD_MS + n), "demo", Author("guest:Ann", "Ann"), f"comment {n}", OLD_MS + n)
        for n in range(count)
    ]
    await running.service.lazy_store.append(comments)
    return [format_id(each.id) for each in comments]


async def get(running: RunningService, status: int = 200, headers: dict[str, str] | None = None, **query: Any) -> Any:
    async with running.http.get("/comments/demo", params=query, headers=headers or {}) as answer:
        assert answer.status == status
        return answer.headers, await answer.json() if status != 304 else await answer.read()


def ids(page: Any) -> list[str]:
    return [each["id"] for each in page["comments"]]


async def test_both_directions(start_service: StartService) -> None:
    running = await start_service()
    stored = await store_old(running, 25)
    seen, after = [], stored[4]
    while after is not None:
        _, page = await get(running, newer_than=after, pagesize=8)
        seen += ids(page)[::-1]
        after = page["nextCursor"]
    assert seen == stored[5:]
    _, page = await get(running, newer_than=stored[-1])
    assert page == {"comments": [], "nextCursor": None}
    _, page = await get(running, cursor=stored[5], pagesize=100)
    assert ids(page) == stored[4::-1]


async def test_wrong_directions_are_told(start_service: StartService) -> None:
    running = await start_service()
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"newer_than": "x"}, "invalid_cursor"),
        ({"newer_than": format_id(1), "cursor": format_id(2)}, "unknown_parameter"),
        ({"newer_than": format_id(1), "pagesize": 101}, "invalid_pagesize"),
        ({"newer_than": format_id(1), "pagesize": 0}, "invalid_pagesize"),
        ({"cursor": format_id(1), "pagesize": "newer_than"}, "unknown_parameter"),
    ]
    for query, code in wrong:
        _, error = await get(running, 400, **query)
        assert error["error"]["code"] in (code, "missing_parameter")


async def test_closed_pages_may_be_kept_by_anybody(start_service: StartService) -> None:
    running = await start_service(cache_closed_ms=120_000)
    stored = await store_old(running, 25)
    headers, _ = await get(running, cursor=stored[20])
    assert headers["cache-control"] == "public, max-age=120"
    recent = format_id(first_id_at(time.time_ns() // 1_000_000))
    others: list[dict[str, Any]] = [{}, {"cursor": recent}, {"newer_than": stored[0]}]
    for query in others:
        headers, _ = await get(running, **query)
        assert headers["cache-control"] == "no-cache"


async def test_what_was_read_while_the_store_was_away_is_for_nobody_else_to_keep(start_service: StartService) -> None:
    """Also when the store is back before the page is made."""
    running = await start_service(cache_tip_ms=60_000)
    stored = await store_old(running, 25)
    running.service.spooled._availability = Availability.AWAY  # what the store answers may not be all there is
    for _ in range(2):
        headers, _ = await get(running, cursor=stored[20])
        assert headers["cache-control"] == "no-cache"
        running.service.spooled._availability = Availability.AVAILABLE
    await running.service.store.invalidate("demo", 0, 1 << 62)
    headers, _ = await get(running, cursor=stored[20])
    assert headers["cache-control"].startswith("public")


async def test_who_has_the_page_gets_no_body(start_service: StartService) -> None:
    running = await start_service()
    stored = await store_old(running, 5)
    headers, _ = await get(running)
    for known in (headers["etag"], f'"other", W/{headers["etag"]}', "*"):
        again, body = await get(running, 304, {"if-none-match": known})
        assert (again["etag"], body) == (headers["etag"], b"")
    await get(running, 200, {"if-none-match": '"other"'})
    other, _ = await get(running, cursor=stored[3])
    assert other["etag"] != headers["etag"]


async def test_many_requests_read_the_store_once(start_service: StartService) -> None:
    running = await start_service(cache_tip_ms=60_000)
    await store_old(running, 25)
    for _ in range(50):
        await get(running)
    assert running.service.store.statistics().reads == 1
