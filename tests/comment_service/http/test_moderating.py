"""Moderating over real HTTP: gone from pages, told to viewers, undone, and only by the operator"""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from history.core.ids import format_id
from history.core.model import AUTHOR_PURGED, HIDDEN, RESTORED, Change, comment_json
from tests.comment_service.conftest import RunningService, StartService
from tests.comment_service.fake_dispatcher import FakeDispatcher
from tests.comment_service.http.test_app import assert_error
from tests.waiting import eventually

TOKEN = {"authorization": "Bearer secret"}


async def say(running: RunningService, video_id: str, author: str, message: str = "hi") -> str:
    body = {"videoId": video_id, "message": message, "author": {"id": author, "name": author}}
    async with running.http.post("/comment/create", json=body) as answer:
        assert answer.status == 200, await answer.text()
        return str((await answer.json())["id"])


async def ids_of(running: RunningService, video_id: str) -> list[str]:
    async with running.http.get(f"/comments/{video_id}?pagesize=100") as answer:
        return [each["id"] for each in (await answer.json())["comments"]]


async def delete(running: RunningService, path: str, status: int = 200) -> int:
    async with running.http.delete(path, headers=TOKEN) as answer:
        assert answer.status == status, await answer.text()
        return int((await answer.json())["erased"])


async def order(running: RunningService, path: str) -> Any:
    async with running.http.post(path, headers=TOKEN) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


def erased_to_viewers(dispatcher: FakeDispatcher) -> set[tuple[str, str]]:
    return {
        (video_id, format_id(event.erased.comment_id))
        for video_id, event in dispatcher.events
        if event.HasField("erased")
    }


async def changes_of(running: RunningService, video_id: str) -> list[Change]:
    """The events that nodes read"""
    events = await running.service._opened().events(video_id, 0, 1_000)
    return [event for event in events if isinstance(event, Change)]


async def started(start_service: StartService, dispatcher: FakeDispatcher, **settings: Any) -> RunningService:
    return await start_service(dispatchers=dispatcher.address, admin_token="secret", purge_pause_ms=0, **settings)


async def test_one_comment(start_service: StartService, dispatcher: FakeDispatcher) -> None:
    running = await started(start_service, dispatcher)
    gone, kept = [await say(running, "demo", "ann") for _ in range(2)]
    assert await delete(running, f"/comments/demo/{gone}") == 1
    assert erased_to_viewers(dispatcher) == {("demo", gone)}  # 200: they have it
    assert await ids_of(running, "demo") == [kept]
    words = [event for _, event in dispatcher.events if event.HasField("erased")]
    assert words[0].id > int(kept, 16)
    assert (words[0].name, words[0].data) == ("deleted", b'{"id":"%b"}' % gone.encode())
    assert await delete(running, f"/comments/demo/{gone}") == 1  # safe to repeat
    assert await ids_of(running, "demo") == [kept]


async def test_hidden_and_restored(start_service: StartService, dispatcher: FakeDispatcher) -> None:
    running = await started(start_service, dispatcher)
    first, second, third = [await say(running, "demo", "ann") for _ in range(3)]
    assert await ids_of(running, "demo") == [third, second, first]
    for _ in range(2):
        assert await order(running, f"/comments/demo/{second}/hide") == {"hidden": 1}
        assert await ids_of(running, "demo") == [third, first]
        assert await order(running, f"/comments/demo/{second}/restore") == {"restored": 1}
        assert await ids_of(running, "demo") == [third, second, first]
    changes = await changes_of(running, "demo")
    assert [each.kind for each in changes] == [HIDDEN, RESTORED] * 2
    assert {each.target_id for each in changes} == {int(second, 16)}
    found = await running.service._opened().find("demo", int(second, 16))
    assert found is not None
    assert changes[-1].data == comment_json(found.comment)


async def test_what_can_not_be_hidden_or_restored(start_service: StartService, dispatcher: FakeDispatcher) -> None:
    running = await started(start_service, dispatcher)
    erased = await say(running, "demo", "ann")
    await delete(running, f"/comments/demo/{erased}")
    (event,) = await changes_of(running, "demo")
    for what in ("hide", "restore"):
        for unknown in (f"demo/{'0' * 16}", f"other/{erased}", f"demo/{format_id(event.id)}"):
            path = f"/comments/{unknown}/{what}"
            await assert_error(running, "POST", path, 404, "comment_unknown", headers=TOKEN)
        path = f"/comments/demo/{erased}/{what}"
        await assert_error(running, "POST", path, 409, "comment_erased", headers=TOKEN)
    assert await changes_of(running, "demo") == [event]


async def test_an_author_in_a_video_and_everywhere(start_service: StartService, dispatcher: FakeDispatcher) -> None:
    running = await started(start_service, dispatcher)
    anns = [await say(running, "demo", "ann, the 1st") for _ in range(3)]
    bobs = await say(running, "demo", "bob")
    elsewhere = await say(running, "other", "ann, the 1st")
    with capture_logs() as lines:
        assert await delete(running, "/comments/demo?author=ann,%20the%201st") == 3
        assert await ids_of(running, "demo") == [bobs]
        assert await ids_of(running, "other") == [elsewhere]
        assert await delete(running, "/authors/ann,%20the%201st/comments") == 1
    assert "ann" not in str(lines)
    assert await ids_of(running, "other") == []
    for video_id, last in (("demo", anns[-1]), ("other", elsewhere)):
        (event,) = await changes_of(running, video_id)  # one for all of his comments
        assert (event.kind, event.author_id, event.data) == (AUTHOR_PURGED, "ann, the 1st", b"")
        assert int(last, 16) < event.up_to_id < event.id
    assert await delete(running, "/authors/nobody/comments") == 0
    later = await say(running, "demo", "ann, the 1st")  # what he says from now on is his right
    assert await ids_of(running, "demo") == [later, bobs]


async def test_another_process_reads_it_no_more(start_service: StartService, dispatcher: FakeDispatcher) -> None:
    first = await started(start_service, dispatcher, forget_ms=10)
    second = await started(start_service, dispatcher, node=1, forget_ms=10, cache_tip_ms=600_000)
    ids = await asyncio.gather(*(say(running, "demo", "ann") for running in (first, second) * 3))
    bobs = await say(second, "demo", "bob")
    assert len(set(ids)) == 6

    async def seen(*expected: str) -> bool:
        return set(await ids_of(second, "demo")) == set(expected)

    await eventually(lambda: seen(*ids, bobs))
    await order(first, f"/comments/demo/{bobs}/hide")
    await eventually(lambda: seen(*ids))
    await order(first, f"/comments/demo/{bobs}/restore")
    await eventually(lambda: seen(*ids, bobs))
    assert await delete(first, "/authors/ann/comments") == 6
    await eventually(lambda: seen(bobs))
    await delete(first, f"/comments/demo/{bobs}")
    await eventually(lambda: seen())


async def test_202_while_no_dispatcher_has_answered(start_service: StartService, dispatcher: FakeDispatcher) -> None:
    running = await started(start_service, dispatcher, moderate_published_ms=50)
    comment_id = await say(running, "demo", "ann")
    dispatcher.responds = False
    assert await delete(running, f"/comments/demo/{comment_id}", 202) == 1
    assert await ids_of(running, "demo") == []
    assert await delete(running, "/authors/ann/comments", 200) == 0  # there is nothing to tell


async def test_a_page_of_what_is_erased_comes_short_and_with_a_cursor(start_service: StartService) -> None:
    running = await start_service(cache_read_comments=10, cache_reads_max=1, pagesize_max=100)
    store = running.service._opened()
    comments = [await say(running, "demo", "ann") for _ in range(30)]
    await store.erase("demo", [int(each, 16) for each in comments[5:25]])
    object.__setattr__(store._settings, "look_rows_max", 12)  # type: ignore[attr-defined]
    await running.service.store.invalidate("demo", 0, 1 << 62)
    found, cursors = [], [""]
    while cursors[-1] is not None:
        async with running.http.get(f"/comments/demo?pagesize=8{cursors[-1]}") as answer:
            page = await answer.json()
        found += [each["id"] for each in page["comments"]]
        cursors.append(page["nextCursor"] and f"&cursor={page['nextCursor']}")
    assert found == [*comments[:5], *comments[25:]][::-1]
    assert len(cursors) > 3


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/comments/demo/018f3c4e5a6b7c8d"),
        ("DELETE", "/comments/demo?author=a"),
        ("DELETE", "/authors/a/comments"),
        ("POST", "/comments/demo/018f3c4e5a6b7c8d/hide"),
        ("POST", "/comments/demo/018f3c4e5a6b7c8d/restore"),
    ],
)
async def test_only_the_operator_may(start_service: StartService, method: str, path: str) -> None:
    off = await start_service()
    await assert_error(off, method, path, 403, "erasing_off", headers=TOKEN)
    on = await start_service(admin_token="secret", node=1)
    for headers in ({}, {"authorization": "Bearer wrong"}):
        answer = await assert_error(on, method, path, 401, "not_authorized", headers=headers)
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("DELETE", "/comments/demo", "missing_parameter"),
        ("DELETE", "/comments/demo?author=", "missing_parameter"),
        ("DELETE", "/comments/demo?autor=a", "unknown_parameter"),
        ("DELETE", "/comments/.demo?author=a", "invalid_video_id"),
        ("DELETE", "/comments/demo/xyz", "invalid_comment_id"),
        ("POST", "/comments/demo/xyz/hide", "invalid_comment_id"),
    ],
)
async def test_what_can_not_be_changed(start_service: StartService, method: str, path: str, code: str) -> None:
    running = await start_service(admin_token="secret")
    await assert_error(running, method, path, 400, code, headers=TOKEN)


async def test_a_log_names_no_author_also_if_his_purge_fails(
    start_service: StartService, dispatcher: FakeDispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await started(start_service, dispatcher)

    async def broken(*_: object) -> None:
        raise ZeroDivisionError("broken by the test")

    monkeypatch.setattr(running.service._opened(), "begin_purge", broken)
    with capture_logs() as lines:
        async with running.http.delete("/authors/guest:mal%20lory/comments", headers=TOKEN) as answer:
            assert answer.status == 500
    (failed,) = [line for line in lines if line["event"] == "request failed"]
    assert failed["path"] == "/authors/…/comments"
    assert "lory" not in str(lines)
