"""Live videos over real HTTP: their life, what it means for comments, and the replay beside a recording"""

from typing import Any

import pytest

from tests.comment_service.conftest import RunningService, StartService
from tests.comment_service.fake_dispatcher import FakeDispatcher
from tests.comment_service.http.test_app import JSON, assert_error, post
from tests.waiting import eventually


async def call(running: RunningService, method: str, path: str, **request: Any) -> dict[str, Any]:
    async with running.http.request(method, path, **request) as answer:
        assert answer.status == 200, await answer.text()
        body: dict[str, Any] = await answer.json()
        return body


async def test_a_videos_life(start_service: StartService) -> None:
    running = await start_service()
    made = await call(running, "POST", "/videos", json={"id": "demo", "title": "A talk", "owner": {"name": "Ann"}})
    assert made["state"] == "planned"
    assert made["owner"] == {"id": "guest:Ann", "name": "Ann"}
    await post(running)  # a planned one is talked about already
    live = await call(running, "POST", "/videos/demo/start", headers=JSON)
    assert live["state"] == "live"
    assert live["startedAt"] >= made["createdAt"]
    assert await call(running, "POST", "/videos/demo/start", headers=JSON) == live  # a retry
    await post(running)
    ended = await call(running, "POST", "/videos/demo/end", headers=JSON)
    assert ended["state"] == "ended"
    assert await call(running, "GET", "/videos/demo") == ended
    body = {"videoId": "demo", "message": "too late"}
    await assert_error(running, "POST", "/comment/create", 409, "video_ended", json=body)
    await assert_error(running, "POST", "/videos/demo/start", 409, "video_ended", headers=JSON)


async def test_what_is_shown_of_a_video_can_be_changed(start_service: StartService) -> None:
    running = await start_service()
    shown = {"plannedAt": 1_800_000_000_000, "playbackUrl": "https://cdn.example/talk.m3u8?token=a%20b"}
    made = await call(running, "POST", "/videos", json={"id": "demo", "title": "A talk", **shown})
    assert {name: made[name] for name in shown} == shown
    changed = await call(running, "PATCH", "/videos/demo", json={"title": "Another", "plannedAt": None})
    assert changed == {**made, "title": "Another", "plannedAt": None}
    live = await call(running, "POST", "/videos/demo/start", headers=JSON)
    assert (live["title"], live["playbackUrl"]) == ("Another", shown["playbackUrl"])
    assert await call(running, "PATCH", "/videos/demo", json={}) == live
    for wrong in ({"title": ""}, {"state": "ended"}, {"playbackUrl": "javascript:alert(1)"}, {"plannedAt": -1}):
        await assert_error(running, "PATCH", "/videos/demo", 422, "invalid_video", json=wrong)
    await assert_error(running, "PATCH", "/videos/none", 404, "video_unknown", json={"title": "x"})
    await assert_error(running, "PATCH", "/videos/demo", 415, "unsupported_media_type", data="{}")


async def test_only_who_may_lead_videos_changes_them(start_service: StartService) -> None:
    running = await start_service(admin_token="secret")
    await assert_error(running, "PATCH", "/videos/demo", 401, "not_authorized", json={"title": "x"})


async def test_comments_after_the_end_if_the_operator_wishes(start_service: StartService) -> None:
    running = await start_service(ended_videos="accept")
    await call(running, "POST", "/videos", json={"id": "demo", "title": "A talk"})
    await call(running, "POST", "/videos/demo/end", headers=JSON)
    await post(running)


async def test_unknown_videos_if_the_operator_wishes(start_service: StartService) -> None:
    running = await start_service(unknown_videos="refuse")
    body = {"videoId": "demo", "message": "hi"}
    await assert_error(running, "POST", "/comment/create", 404, "video_unknown", json=body)
    await call(running, "POST", "/videos", json={"id": "demo", "title": "A talk"})
    await assert_error(running, "POST", "/comment/create", 404, "video_unknown", json={**body, "videoId": "other"})


async def test_who_wants_to_watch_an_unknown_video_is_told_so_where_those_are_refused(
    start_service: StartService, dispatcher: FakeDispatcher
) -> None:
    running = await start_service(dispatchers=dispatcher.address, unknown_videos="refuse")
    stream = {"Accept": "text/event-stream"}
    await assert_error(running, "GET", "/comments/demo", 404, "video_unknown", headers=stream)
    await call(running, "POST", "/videos", json={"id": "demo", "title": "A talk"})
    await call(running, "POST", "/videos/demo/end", headers=JSON)
    async with running.http.get("/comments/demo", headers=stream, allow_redirects=False) as answer:
        assert answer.status in (307, 503), "an ended one may be watched"


async def test_an_end_reaches_the_other_process(start_service: StartService) -> None:
    first = await start_service()
    second = await start_service(node=1, video_news_ms=10)
    await call(first, "POST", "/videos", json={"id": "demo", "title": "A talk", "state": "live"})
    await post(second)
    await call(first, "POST", "/videos/demo/end", headers=JSON)
    body = {"videoId": "demo", "message": "too late"}

    async def ended() -> bool:
        async with second.http.post("/comment/create", json=body) as answer:
            return answer.status == 409

    await eventually(ended)
    await assert_error(second, "POST", "/comment/create", 409, "video_ended", json=body)


async def test_made_twice_is_made_once(start_service: StartService) -> None:
    running = await start_service()
    made = await call(running, "POST", "/videos", json={"id": "demo", "title": "A talk"})
    assert await call(running, "POST", "/videos", json={"id": "demo", "title": "A talk"}) == made
    await assert_error(running, "POST", "/videos", 409, "video_exists", json={"id": "demo", "title": "Another"})
    ids = {(await call(running, "POST", "/videos", json={"title": "A talk"}))["id"] for _ in range(3)}
    assert len(ids) == 3


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/videos/nobody-made", 404, "video_unknown"),
        ("POST", "/videos/nobody-made/start", 404, "video_unknown"),
        ("POST", "/videos/.x/end", 400, "invalid_video_id"),
        ("GET", "/videos", 405, "wrong_method"),
        ("GET", "/comments/nobody-made?from_offset_ms=0", 404, "video_unknown"),
        ("GET", "/comments/demo?from_offset_ms=0", 409, "video_not_started"),
        ("GET", "/comments/demo?from_offset_ms=-1", 400, "invalid_offset"),
        ("GET", "/comments/demo?from_offset_ms=", 400, "invalid_offset"),
        ("GET", "/comments/demo?from_offset_ms=1e3", 400, "invalid_offset"),
        ("GET", "/comments/demo?from_offset_ms=0&cursor=x", 400, "invalid_cursor"),
        ("GET", "/comments/demo?from_offset_ms=0&pagesize=0", 400, "invalid_pagesize"),
        ("GET", "/comments/demo?xfrom_offset_ms=0", 400, "unknown_parameter"),
    ],
)
async def test_wrong_requests(start_service: StartService, method: str, path: str, status: int, code: str) -> None:
    running = await start_service()
    await call(running, "POST", "/videos", json={"id": "demo", "title": "A talk"})
    await assert_error(running, method, path, status, code, headers=JSON)


@pytest.mark.parametrize("sent", [{}, {"content-type": "text/plain"}, {"content-type": "multipart/form-data"}])
@pytest.mark.parametrize("order", ["start", "end"])
async def test_what_any_page_can_make_a_browser_send_changes_no_video(
    start_service: StartService, order: str, sent: dict[str, str]
) -> None:
    running = await start_service()
    video = await call(running, "POST", "/videos", json={"id": "demo", "title": "A talk"})
    headers = {"origin": "http://else", **sent}
    await assert_error(running, "POST", f"/videos/demo/{order}", 415, "unsupported_media_type", headers=headers)
    assert await call(running, "GET", "/videos/demo") == video


async def test_with_a_token_only_its_owner_leads_videos(start_service: StartService) -> None:
    running = await start_service(admin_token="secret")
    await assert_error(running, "POST", "/videos", 401, "not_authorized", json={"title": "A talk"})
    await assert_error(running, "POST", "/videos/demo/end", 401, "not_authorized")
    token = {"authorization": "Bearer secret"}
    await call(running, "POST", "/videos", json={"id": "demo", "title": "A talk"}, headers=token)
    await call(running, "POST", "/videos/demo/start", headers=token)
    assert (await call(running, "GET", "/videos/demo"))["state"] == "live"


async def test_the_talk_is_replayed_beside_the_recording(start_service: StartService) -> None:
    running = await start_service()
    await post(running, "before the start")
    video = await call(running, "POST", "/videos", json={"id": "demo", "title": "A talk", "state": "live"})
    comments = [await post(running, f"comment {n}") for n in range(7)]
    comments = [comment for comment in comments if comment["createdAt"] >= video["startedAt"]]
    offsets = [comment["createdAt"] - video["startedAt"] for comment in comments]
    seen: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        query = {"from_offset_ms": "0", "pagesize": "3", **({"cursor": cursor} if cursor else {})}
        page = await call(running, "GET", "/comments/demo", params=query)
        assert len(page["comments"]) <= 3
        seen += page["comments"]
        cursor = page["nextCursor"]
    expected = [{**comment, "offsetMs": offset} for comment, offset in zip(comments, offsets, strict=True)]
    assert [each for each in seen if each["message"] != "before the start"] == expected
    later = await call(running, "GET", "/comments/demo", params={"from_offset_ms": str(offsets[4]), "pagesize": "100"})
    assert later["comments"] == [each for each in expected if each["offsetMs"] >= offsets[4]]
    end = await call(running, "GET", "/comments/demo", params={"from_offset_ms": "99999999"})
    assert end == {"comments": [], "nextCursor": None}
