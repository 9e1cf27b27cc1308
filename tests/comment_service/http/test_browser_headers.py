"""Every route, with every method, and every way past the framework tells browsers the same"""

import asyncio
from typing import Any

import pytest
from starlette.routing import Route

from comment_service.config import Config
from proto.http.browser_headers import POLICY
from tests.browser_headers import assert_browsers_are_told, headers_of
from tests.comment_service.conftest import RunningService, StartService
from tests.comment_service.fake_dispatcher import FakeDispatcher

METHODS = ("GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS", "PUT")
COMMENT = {"liveVideoId": "v", "message": "hello"}


def routes(running: RunningService) -> list[str]:
    """Paths with something in place of each parameter"""
    app: Any = running.service.server.config.app
    paths = [route.path for route in app.routes if isinstance(route, Route)]
    return [
        path.replace("{name:path}", "app.js").replace("{video_id}", "v").replace("{comment_id}", "0" * 16)
        for path in (each.replace("{author_id}", "a") for each in paths)
    ]


async def test_every_route_and_method(start_service: StartService, dispatcher: FakeDispatcher) -> None:
    running = await start_service(dispatchers=dispatcher.address)
    statuses = set()
    for path in [*routes(running), "/none", "/comments/a,b", "/comment/v?pagesize=0", "/comments/v?from_offset_ms=0"]:
        for method in METHODS:
            async with running.http.request(method, path, allow_redirects=False) as answer:
                await answer.read()
                statuses.add(answer.status)
                is_page = (path == "/" or path.startswith("/page/")) and method in ("GET", "HEAD")
                if is_page:
                    assert_browsers_are_told(answer.headers, (method, path), running.service.config.page_policy())
                else:
                    assert_browsers_are_told(answer.headers, (method, path))
                assert len(answer.headers.getall(POLICY)) == 1
    assert statuses >= {200, 204, 400, 404, 405, 415}


async def test_ways_past_the_framework_redirects_and_refusals(
    start_service: StartService, dispatcher: FakeDispatcher
) -> None:
    running = await start_service(dispatchers=dispatcher.address, body_bytes_max=1024)
    asked: list[tuple[int, str, str, dict[str, Any]]] = [
        (200, "POST", "/comment/create", {"json": COMMENT}),
        (413, "POST", "/comment/create", {"json": {**COMMENT, "message": "x" * 2000}}),
        (422, "POST", "/comment/create", {"json": {**COMMENT, "message": "x" * 600}}),
        (200, "GET", "/comment/v", {}),
        (200, "GET", "/comment/v", {}),  # kept
        (
            200,
            "OPTIONS",
            "/comment/create",
            {"headers": {"origin": "http://x", "access-control-request-method": "POST"}},
        ),
        (
            400,
            "OPTIONS",
            "/comment/create",
            {"headers": {"origin": "http://x", "access-control-request-method": "PUT"}},
        ),
    ]
    for status, method, path, more in asked:
        async with running.http.request(method, path, **more) as answer:
            await answer.read()
            assert answer.status == status
            assert_browsers_are_told(answer.headers, (method, path))
    stream = {"accept": "text/event-stream"}
    async with running.http.get("/comments/v", headers=stream, allow_redirects=False) as answer:
        assert answer.status in (307, 503)
        assert_browsers_are_told(answer.headers, "a place")
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(b"nonsense\r\n\r\n")
    assert_browsers_are_told(headers_of(await reader.readuntil(b"\r\n\r\n")), "nonsense")
    writer.close()


def policy(**settings: str) -> str:
    return Config(_cli_parse_args=False, **settings).page_policy()  # type: ignore[call-arg, arg-type]


def test_the_page_calls_its_nodes_and_is_framed_by_known_sites_only() -> None:
    assert "frame-ancestors 'self'" in policy()
    assert "connect-src 'self' http://127.0.0.1:* http://localhost:*;" in policy(), "a try-out on this machine"
    there = policy(
        listen="0.0.0.0:8000",
        connect_src="https://*.live.example.org",
        frame_ancestors="'self',https://news.example.org",
    )
    assert "connect-src 'self' https://*.live.example.org;" in there
    assert there.endswith("frame-ancestors 'self' https://news.example.org")
    assert "connect-src 'self';" in policy(listen="0.0.0.0:8000")


@pytest.mark.parametrize("name", ["connect_src", "frame_ancestors"])
@pytest.mark.parametrize(
    "text", ["https://a.example; script-src *", "https://a.example/path", "javascript:", "*", "a b"]
)
def test_nothing_else_gets_into_a_policy(name: str, text: str) -> None:
    with pytest.raises(ValueError, match="can't stand"):
        policy(**{name: text})
