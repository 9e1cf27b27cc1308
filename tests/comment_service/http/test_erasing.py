"""Erasing over real HTTP: gone from pages, told to viewers, and only by the operator"""

import asyncio
import json
from typing import Any

import pytest

from history.core.ids import format_id
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


async def delete(running: RunningService, path: str) -> int:
    async with running.http.delete(path, headers=TOKEN) as answer:
        assert answer.status == 200, await answer.text()
        return int((await answer.json())["erased"])


def erased_to_viewers(dispatcher: FakeDispatcher) -> set[tuple[str, str]]:
    return {
        (video_id, format_id(event.erased.comment_id))
        for video_id, event in dispatcher.events
        if event.WhichOneof("body") == "erased"
    }


async def started(start_service: StartService, dispatcher: FakeDispatcher, **settings: Any) -> RunningService:
    return await start_service(
        dispatchers=dispatcher.address, admin_token="secret", erase_look_again_ms=1, erase_pause_ms=0, **settings
    )


async def test_one_comment(start_service: StartService, dispatcher: FakeDispatcher) -> None:
    running = await started(start_service, dispatcher)
    gone, kept = [await say(running, "demo", "ann") for _ in range(2)]
    assert await delete(running, f"/comments/demo/{gone}") == 1
    assert await ids_of(running, "demo") == [kept]
    await eventually(lambda: erased_to_viewers(dispatcher) == {("demo", gone)})
    told = next(event for _, event in dispatcher.events if event.WhichOneof("body") == "erased")
    assert told.id > int(kept, 16)
    assert (told.name, json.loads(told.data)) == ("deleted", {"id": gone})
    assert await delete(running, f"/comments/demo/{gone}") == 1  # safe to repeat
    assert await ids_of(running, "demo") == [kept]


async def test_an_author_in_a_video_and_everywhere(start_service: StartService, dispatcher: FakeDispatcher) -> None:
    running = await started(start_service, dispatcher)
    anns = [await say(running, "demo", "ann, the 1st") for _ in range(3)]
    bobs = await say(running, "demo", "bob")
    elsewhere = await say(running, "other", "ann, the 1st")
    assert await delete(running, "/comments/demo?author=ann,%20the%201st") == 3
    assert await ids_of(running, "demo") == [bobs]
    assert await ids_of(running, "other") == [elsewhere]
    assert await delete(running, "/authors/ann,%20the%201st/comments") == 1
    assert await ids_of(running, "other") == []
    await eventually(
        lambda: erased_to_viewers(dispatcher) == {*(("demo", each) for each in anns), ("other", elsewhere)}
    )
    assert await delete(running, "/authors/nobody/comments") == 0
    later = await say(running, "demo", "ann, the 1st")  # what he says from now on is his right
    assert await ids_of(running, "demo") == [later, bobs]


async def test_another_process_reads_it_no_more(start_service: StartService, dispatcher: FakeDispatcher) -> None:
    first = await started(start_service, dispatcher)
    second = await started(start_service, dispatcher, node=1)
    ids = await asyncio.gather(*(say(running, "demo", "ann") for running in (first, second) * 3))
    assert len(set(ids)) == 6
    assert await delete(first, "/authors/ann/comments") == 6
    for running in (first, second):
        assert await ids_of(running, "demo") == []


@pytest.mark.parametrize("path", ["/comments/demo/018f3c4e5a6b7c8d", "/comments/demo?author=a", "/authors/a/comments"])
async def test_only_the_operator_may(start_service: StartService, path: str) -> None:
    off = await start_service()
    await assert_error(off, "DELETE", path, 403, "erasing_off", headers=TOKEN)
    on = await start_service(admin_token="secret", node=1)
    for headers in ({}, {"authorization": "Bearer wrong"}):
        answer = await assert_error(on, "DELETE", path, 401, "not_authorized", headers=headers)
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/comments/demo", "missing_parameter"),
        ("/comments/demo?author=", "missing_parameter"),
        ("/comments/demo?autor=a", "unknown_parameter"),
        ("/comments/.demo?author=a", "invalid_video_id"),
        ("/comments/demo/xyz", "invalid_comment_id"),
    ],
)
async def test_what_can_not_be_erased(start_service: StartService, path: str, code: str) -> None:
    running = await start_service(admin_token="secret")
    await assert_error(running, "DELETE", path, 400, code, headers=TOKEN)
