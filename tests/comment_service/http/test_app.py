"""The HTTP API over real HTTP: what each call answers, and that nothing from outside gives a 5xx"""

import asyncio
import json
import logging
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from yarl import URL

from history.core.ids import format_id
from history.core.model import Comment
from history.store import StoreUnavailable
from tests.comment_service.conftest import RunningService, StartService
from tests.comment_service.fake_dispatcher import FakeDispatcher
from tests.waiting import eventually

JSON = {"content-type": "application/json"}
STREAM = {"accept": "text/event-stream"}


async def post(running: RunningService, message: str = "hi", **headers: str) -> dict[str, Any]:
    body = {"liveVideoId": "demo", "message": message}
    async with running.http.post("/comment/create", json=body, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        created: dict[str, Any] = await answer.json()
        return created


async def assert_error(
    running: RunningService, method: str, path: str, status: int, code: str, **request: Any
) -> aiohttp.ClientResponse:
    url = URL(running.url + path, encoded=True)
    async with running.http.request(method, url, allow_redirects=False, **request) as answer:
        assert answer.status == status, await answer.text()
        assert answer.content_type == "application/json"
        if method != "HEAD":
            error = (await answer.json())["error"]
            assert error["code"] == code
            assert error["message"]
        return answer


async def test_a_comment_is_answered_stored_and_published(
    start_service: StartService, dispatcher: FakeDispatcher
) -> None:
    running = await start_service(dispatchers=dispatcher.address)
    created = await post(running, "naïve 😀 <b>")
    assert (created["liveVideoId"], created["message"]) == ("demo", "naïve 😀 <b>")
    assert created["author"] == {"id": "guest:Anonymous", "name": "Anonymous"}
    async with running.http.get("/comments/demo") as answer:
        assert answer.content_type == "application/json"
        assert await answer.json() == {"comments": [created], "nextCursor": None}
    await eventually(lambda: dispatcher.published == [int(created["id"], 16)])


async def test_pages_from_the_newest_to_the_first(start_service: StartService) -> None:
    running = await start_service()
    ids = [(await post(running))["id"] for _ in range(25)]
    for path in ("/comments/demo", "/comment/demo"):
        seen, cursor, sizes = [], "", []
        while cursor is not None:
            async with running.http.get(path, params={"cursor": cursor} if cursor else {}) as answer:
                page = await answer.json()
            seen += [each["id"] for each in page["comments"]]
            sizes.append(len(page["comments"]))
            cursor = page["nextCursor"]
        assert seen == ids[::-1]
        assert sizes == [10, 10, 5]
    async with running.http.get("/comments/demo?pagesize=25") as answer:
        assert (await answer.json())["nextCursor"] is None
    async with running.http.get("/comments/nobody-ever") as answer:
        assert await answer.json() == {"comments": [], "nextCursor": None}


async def test_a_viewer_is_sent_to_the_placed_node(start_service: StartService, dispatcher: FakeDispatcher) -> None:
    dispatcher.public_url = "http://127.0.0.1:8101"
    running = await start_service(dispatchers=dispatcher.address)
    headers = {**STREAM, "last-event-id": "018f3c4e5a6b7c8d.2"}
    url = "/comments/demo?max_rate=5&last_event_id=old"
    for method in ("GET", "HEAD"):
        async with running.http.request(method, url, headers=headers, allow_redirects=False) as answer:
            assert answer.status == 307
            assert answer.headers["cache-control"] == "no-store"
            location = "http://127.0.0.1:8101/comments/demo?max_rate=5&last_event_id=018f3c4e5a6b7c8d.2"
            assert answer.headers["location"] == location
    async with running.http.get("/comments/demo", headers=STREAM, allow_redirects=False) as answer:
        assert answer.headers["location"] == "http://127.0.0.1:8101/comments/demo"
    await assert_error(running, "GET", "/comments/.demo", 400, "invalid_video_id", headers=STREAM)


async def test_a_cache_keeps_streams_and_pages_apart(start_service: StartService, dispatcher: FakeDispatcher) -> None:
    dispatcher.public_url = "http://127.0.0.1:8101"
    running = await start_service(dispatchers=dispatcher.address)
    await post(running)
    await assert_varies(running, "/comments/demo", 307, STREAM)
    await assert_varies(running, "/comments/demo", 307, {"accept": "text/*"})
    etag = await assert_varies(running, "/comments/demo", 200, {})
    for _ in range(2):  # by the app, and by the shortcut
        await assert_varies(running, "/comments/demo", 200, {"origin": "http://else"})
    await assert_varies(running, "/comments/demo", 307, {"accept": "text/*"})
    await assert_varies(running, "/comments/demo", 304, {"if-none-match": etag})
    await assert_varies(running, "/comments/demo?newer_than=018f3c4e5a6b7c8d", 200, {})
    async with running.http.get("/comment/demo") as answer:
        assert "accept" not in answer.headers.getall("vary", []), "here are only pages"


async def assert_varies(running: RunningService, path: str, status: int, headers: dict[str, str]) -> str:
    """Returns the ETag."""
    async with running.http.get(path, headers=headers, allow_redirects=False) as answer:
        assert answer.status == status
        assert "accept" in ", ".join(answer.headers.getall("vary")).split(", ")
        return answer.headers.get("etag", "")


async def test_no_dispatcher_and_no_room(start_service: StartService, dispatcher: FakeDispatcher) -> None:
    alone = await start_service()
    await post(alone)
    answer = await assert_error(alone, "GET", "/comments/demo", 503, "no_dispatcher", headers=STREAM)
    assert 1 <= int(answer.headers["retry-after"]) <= 5
    dispatcher.public_url = None
    running = await start_service(dispatchers=dispatcher.address, node=1)
    answer = await assert_error(running, "GET", "/comments/demo", 503, "no_place", headers=STREAM)
    assert "retry-after" in answer.headers


async def test_idempotent_retries(start_service: StartService) -> None:
    running = await start_service()
    key = {"Idempotency-Key": "k1"}
    answers = await asyncio.gather(*(post(running, **key) for _ in range(10)))
    assert len({answer["id"] for answer in answers}) == 1
    assert (await post(running, **key))["id"] == answers[0]["id"]
    other = {"json": {"liveVideoId": "demo", "message": "else"}}
    await assert_error(running, "POST", "/comment/create", 422, "idempotency_key_reused", headers=key, **other)
    wrong = {"Idempotency-Key": "x" * 129}
    await assert_error(running, "POST", "/comment/create", 400, "invalid_idempotency_key", headers=wrong, **other)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "unknown_path"),
        ("GET", "/comments/", 404, "unknown_path"),
        ("GET", "/comments/a%2Fb", 405, "wrong_method"),
        ("HEAD", "/nothing", 404, "unknown_path"),
        ("GET", "/comment/create", 405, "wrong_method"),
        ("DELETE", "/comment/create", 405, "wrong_method"),
        ("POST", "/comments/demo", 405, "wrong_method"),
        ("POST", "/", 405, "wrong_method"),
        ("BREW", "/health", 400, "malformed_request"),
        ("PATCH", "/health/live", 405, "wrong_method"),
        ("GET", "/comments/%20", 400, "invalid_video_id"),
        ("GET", "/comments/..%00", 400, "invalid_video_id"),
        ("GET", "/comments/demo%0A", 400, "invalid_video_id"),
        ("GET", "/comments/" + "x" * 129, 400, "invalid_video_id"),
        ("GET", "/comments/%FF", 400, "invalid_video_id"),
        ("GET", "/comment/demo?cursor=xyz", 400, "invalid_cursor"),
        ("GET", "/comment/demo?pagesize=0", 400, "invalid_pagesize"),
        ("GET", "/comment/demo?page=2", 400, "unknown_parameter"),
    ],
)
async def test_wrong_requests(start_service: StartService, method: str, path: str, status: int, code: str) -> None:
    running = await start_service()
    answer = await assert_error(running, method, path, status, code)
    if status == 405:
        assert answer.headers["allow"] in ("POST", "GET, HEAD", "GET, DELETE, HEAD", "DELETE")


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"{}", {"content-type": "text/plain"}, 415, "unsupported_media_type"),
        (b"{", JSON, 400, "malformed_json"),
        (b"\xff", JSON, 400, "invalid_utf8"),
        (b"{}", JSON, 422, "missing_field"),
        (b'{"liveVideoId":"demo","message":""}', JSON, 422, "message_empty"),
        (b'{"liveVideoId":"../","message":"a"}', JSON, 400, "invalid_video_id"),
        (b'{"message":"' + b"x" * 16_384 + b'"}', JSON, 413, "body_too_large"),
    ],
)
async def test_wrong_bodies(
    start_service: StartService, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    running = await start_service()
    await assert_error(running, "POST", "/comment/create", status, code, data=body, headers=headers)
    await post(running)  # on the same connection, if it was kept


async def test_a_large_body_without_a_length(start_service: StartService) -> None:
    running = await start_service()

    async def chunks() -> Any:
        for _ in range(20):
            yield b"x" * 1024

    await assert_error(running, "POST", "/comment/create", 413, "body_too_large", data=chunks(), headers=JSON)


async def test_a_body_that_does_not_end_and_one_that_breaks_off(
    start_service: StartService, caplog: pytest.LogCaptureFixture
) -> None:
    running = await start_service(body_timeout_ms=100)
    head = b"POST /comment/create HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{"
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(head)
    answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"body_too_slow" in answer
    writer.close()
    with caplog.at_level(logging.WARNING):
        _, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(head)
        await writer.drain()
        await eventually(lambda: len(running.service.server.server_state.tasks) == 1)
        writer.transport.abort()
        await eventually(lambda: not running.service.server.server_state.tasks)
    assert caplog.text == ""


async def test_health(start_service: StartService, dispatcher: FakeDispatcher) -> None:
    running = await start_service(dispatchers=dispatcher.address)
    await eventually(lambda: running.service.replicas.connected() == 1)
    for path in ("/health/live", "/health/ready"):
        async with running.http.get(path) as answer:
            assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
            assert await answer.json() == {"status": "ok"}, "nothing for strangers"
    for path in ("/health/ready", "/health"):
        async with running.operators.get(path) as answer:
            assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
            assert (await answer.json())["dispatchers_connected"] == 1
    for path in ("/health", "/metrics"):
        await assert_error(running, "GET", path, 404, "unknown_path")


async def test_a_store_that_is_away(start_service: StartService, monkeypatch: pytest.MonkeyPatch) -> None:
    running = await start_service(spool_bytes_max=0)
    store = running.service.store

    async def away(*_: object) -> list[Comment]:
        raise StoreUnavailable("cut off by the test")

    for method in ("append", "older", "check"):
        monkeypatch.setattr(store._store, method, away)
    body = {"json": {"liveVideoId": "demo", "message": "hi"}}
    answer = await assert_error(running, "POST", "/comment/create", 503, "store_unavailable", **body)
    assert "retry-after" in answer.headers
    await assert_error(running, "GET", "/comments/demo", 503, "store_unavailable")
    async with running.operators.get("/health/ready") as ready:
        assert ready.status == 503
        assert "cut off" in (await ready.json())["store"]
    async with running.http.get("/health/live") as live:
        assert live.status == 200
    assert running.service.publisher.statistics().backlog == 0


async def test_a_store_that_is_away_is_no_reason_to_be_silent(
    start_service: StartService, dispatcher: FakeDispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await start_service(dispatchers=dispatcher.address, drain_retry_max_ms=100, lookback_s=0)
    await eventually(lambda: len(dispatcher.catch_ups) == 1)  # the start's

    async def away(*_: object) -> list[Comment]:
        raise StoreUnavailable("cut off by the test")

    with monkeypatch.context() as cut_off:
        for method in ("append", "check"):
            cut_off.setattr(running.service.lazy_store, method, away)
        created = await post(running)
        await eventually(lambda: dispatcher.published == [int(created["id"], 16)])
        async with running.http.get("/comments/demo") as answer:
            assert (await answer.json())["comments"] == [created]
        async with running.operators.get("/health/ready") as ready:
            assert ready.status == 200
        assert len(dispatcher.catch_ups) == 1
    await eventually(lambda: dispatcher.catch_ups[1:] == [int(created["id"], 16)])
    stored, _ = await running.service.lazy_store.older("demo", None, 9)
    assert [format_id(each.id) for each in stored] == [created["id"]]


async def test_a_fault_of_ours_is_logged_once(start_service: StartService, monkeypatch: pytest.MonkeyPatch) -> None:
    running = await start_service()

    async def broken(*_: object) -> None:
        raise ZeroDivisionError("broken by the test")

    monkeypatch.setattr(running.service.store._store, "older", broken)
    with capture_logs() as lines:
        await assert_error(running, "GET", "/comments/demo", 500, "internal_error", headers={"origin": "http://else"})
    assert [(line["event"], line["path"], line["exc_info"]) for line in lines] == [
        ("request failed", "/comments/demo", True)
    ]


async def test_cors(start_service: StartService) -> None:
    running = await start_service()
    ask = {"origin": "http://else", "access-control-request-method": "POST"}
    wish = {**ask, "access-control-request-headers": "content-type,idempotency-key"}
    async with running.http.options("/comment/create", headers=wish) as answer:
        assert answer.status == 200
        assert answer.headers["access-control-allow-origin"] == "*"
    answer = await assert_error(running, "GET", "/nothing", 404, "unknown_path", headers={"origin": "http://else"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-expose-headers"] == "retry-after"
    wish = {**ask, "access-control-request-method": "PUT"}
    await assert_error(running, "OPTIONS", "/comment/create", 400, "cors_refused", headers=wish)
    strict = await start_service(node=1, cors_origins="http://a.example,http://b.example")
    await assert_error(strict, "OPTIONS", "/comment/create", 400, "cors_refused", headers=ask)
    async with strict.http.get("/comments/demo", headers={"origin": "http://b.example"}) as answer:
        assert answer.headers["access-control-allow-origin"] == "http://b.example"
        assert answer.headers["access-control-allow-credentials"] == "true", "a page that is named may send cookies"
    async with running.http.get("/comments/demo", headers={"origin": "http://b.example"}) as answer:
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", "cache-control,last-event-id"),
        ("GET", "x-requested-with"),
        ("POST", "content-type,idempotency-key,x-requested-with,authorization"),
        ("DELETE", "authorization"),
    ],
)
async def test_a_page_of_another_origin_may_send_what_clients_send(
    start_service: StartService, method: str, headers: str
) -> None:
    running = await start_service()
    ask = {"origin": "http://else", "access-control-request-method": method, "access-control-request-headers": headers}
    async with running.http.options("/comments/demo/0000000000000001", headers=ask) as answer:
        assert answer.status == 200, await answer.text()
        assert method in answer.headers["access-control-allow-methods"]
        allowed = answer.headers["access-control-allow-headers"].lower().split(", ")
        assert set(headers.split(",")) <= set(allowed)


fast = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
keys = st.sampled_from(["liveVideoId", "videoId", "message", "author", "id", "name", "x"])
values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=6,
)


async def statuses(running: RunningService, requests: list[dict[str, Any]]) -> set[int]:
    found = set()
    for request in requests:
        url = URL(running.url + request.pop("path"), encoded=True)
        async with running.http.request(url=url, allow_redirects=False, **request) as answer:
            found.add(answer.status)
            if answer.status >= 400 and request["method"] != "HEAD":
                assert (await answer.json())["error"]["code"]
    return found


async def test_any_body_is_accepted_or_refused(start_service: StartService) -> None:
    running = await start_service()
    bodies: list[bytes] = []

    @fast
    @given(st.binary(max_size=200) | values.map(lambda value: json.dumps(value).encode()))
    def collect(body: bytes) -> None:
        bodies.append(body)

    collect()
    requests = [{"method": "POST", "path": "/comment/create", "data": body, "headers": JSON} for body in bodies]
    assert await statuses(running, requests) <= {200, 400, 422}


async def test_any_path_is_answered(start_service: StartService, dispatcher: FakeDispatcher) -> None:
    running = await start_service(dispatchers=dispatcher.address)
    requests: list[dict[str, Any]] = []
    prefixes = st.sampled_from(["/", "/comments/", "/comment/", "/page/", "/health/", "/comments/demo?"])
    methods = st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"])

    @fast
    @given(methods, prefixes, st.binary(max_size=12), st.booleans())
    def collect(method: str, prefix: str, rest: bytes, stream: bool) -> None:
        path = prefix + quote(rest, safe="/?&=%:")
        requests.append({"method": method, "path": path, "headers": STREAM if stream else {}})

    collect()
    assert await statuses(running, requests) <= {200, 204, 304, 307, 400, 403, 404, 405, 415}
