"""What one address may ask of a comment_service: posts, reads; the shortcuts past the framework count as well"""

import json
import re
from collections import Counter
from collections.abc import Iterator

import aiohttp
import pytest
from starlette.routing import BaseRoute, Route

from comment_service.http.app import Methods
from comment_service.http.limits import FREE, RequestRates, limits_by_path
from proto.http.guard import Guard
from proto.http.requests import RequestReader
from proto.http_settings import HttpSettings
from tests.comment_service.conftest import StartService


async def ask(http: aiohttp.ClientSession, method: str, path: str, who: str) -> tuple[int, str]:
    body = json.dumps({"liveVideoId": "v", "message": "hi"}).encode() if method == "POST" else None
    headers = {"x-forwarded-for": who, **({"content-type": "application/json"} if body else {})}
    async with http.request(method, path, data=body, headers=headers) as answer:
        code = "" if answer.status == 200 else (await answer.json())["error"]["code"]
        assert answer.status not in (429, 503) or int(answer.headers["retry-after"]) >= 1
        return answer.status, code


@pytest.mark.parametrize(
    ("settings", "method", "path", "code"),
    [
        ({"posts_per_s": 0.1}, "POST", "/comment/create", "too_many_posts"),
        ({"reads_per_s": 0.1}, "GET", "/comments/v", "too_many_reads"),
        ({"reads_per_s": 0.1}, "GET", "/comment/v", "too_many_reads"),
        ({"reads_per_s": 0.1}, "GET", "/videos/known", "too_many_reads"),
    ],
)
async def test_an_address_has_a_rate_and_others_their_own(
    start_service: StartService, settings: dict[str, float], method: str, path: str, code: str
) -> None:
    running = await start_service(trusted_proxies="127.0.0.0/8", **settings)
    if path == "/videos/known":
        async with running.http.post("/videos", json={"id": "known", "title": "t", "owner": {"id": "o", "name": "O"}}):
            pass
    assert [await ask(running.http, method, path, "9.9.9.9") for _ in range(3)] == [(200, ""), (429, code), (429, code)]
    assert await ask(running.http, method, path, "8.8.8.8") == (200, "")
    assert (await ask(running.http, "GET", "/nothing", "9.9.9.9"))[0] == 404
    async with running.operators.get("/metrics") as metrics:
        assert f'comment_service_refused_total{{code="{code}"}} 2.0' in await metrics.text()
    assert await ask(running.http, method, path, "127.0.0.1") == (200, "")
    assert await ask(running.http, method, path, "127.0.0.1") == (200, "")


async def test_all_together_have_a_rate_too(start_service: StartService) -> None:
    running = await start_service(trusted_proxies="127.0.0.0/8", posts_per_s_max=0.1)
    said = [await ask(running.http, "POST", "/comment/create", f"9.9.9.{n}") for n in range(2)]
    assert said == [(200, ""), (503, "too_many_posts_of_all")]


def methods_of(route: BaseRoute) -> Iterator[tuple[str, str]]:
    """The path, and each method that it has"""
    assert isinstance(route, Route)
    assert isinstance(route.endpoint, Methods)
    for method in route.endpoint._apps:
        yield route.path, method


async def test_every_route_is_under_a_limit_or_said_to_be_free(start_service: StartService) -> None:
    running = await start_service()
    limit_of = limits_by_path(Guard(HttpSettings.parse([]), Counter()), RequestRates(1, 1, 1, 1))
    free = set()
    for route in running.service.server.config.app.routes:  # type: ignore[union-attr]
        for path, method in methods_of(route):
            line = f"{method} {re.sub('{.*?}', 'x', path)} HTTP/1.1\r\nhost: x\r\n\r\n"
            head = RequestReader(1_000, 10).read(line.encode())[0]
            assert head is not None
            if limit_of(head) is None:
                assert method in ("GET", "HEAD"), path
                free.add(path)
    assert free == FREE.keys()
