"""PageFiles: the page under names that browsers keep for ever, with a policy that lets nothing foreign run"""

import re
import shutil
from pathlib import Path

import aiohttp
import pytest
from starlette.requests import Request
from structlog.testing import capture_logs

from comment_service.http.page_build import build_page
from comment_service.http.page_files import FOR_EVER, PAGE_DIR, PageFiles, best_encoding
from tests.comment_service.conftest import RunningService, StartService


async def names_in_index(running: RunningService) -> list[str]:
    """of the files, as page/app-0123456789ab.js"""
    async with running.http.get("/") as answer:
        return re.findall(r'(?:href|src)="(page/[^"]+)"', await answer.text())


async def test_the_index_is_asked_for_each_time(start_service: StartService) -> None:
    running = await start_service()
    async with running.http.get("/") as answer:
        assert (answer.status, answer.content_type) == (200, "text/html")
        assert answer.headers["cache-control"] == "no-cache"
        policy = answer.headers.getall("content-security-policy")
        etag = answer.headers["etag"]
    assert len(policy) == 1, "browsers would hold the page to both"
    assert "default-src 'none'" in policy[0]
    assert "unsafe" not in policy[0]
    assert "connect-src *" not in policy[0]
    async with running.http.get("/", headers={"if-none-match": etag}) as answer:
        assert (answer.status, await answer.read()) == (304, b"")


async def test_what_it_names_is_kept_for_ever(start_service: StartService) -> None:
    running = await start_service()
    names = await names_in_index(running)
    assert {re.sub("-[0-9a-f]{12}", "", name) for name in names} >= {"page/app.js", "page/style.css"}
    for name in names:
        async with running.http.get(f"/{name}") as answer:
            assert (answer.status, answer.headers["cache-control"]) == (200, FOR_EVER), name
    async with running.http.head(f"/{names[0]}") as answer:
        assert (answer.status, await answer.read()) == (200, b"")


@pytest.mark.parametrize(
    ("accepted", "encoding"), [("gzip, deflate, br", "br"), ("gzip", "gzip"), ("br;q=0, *", "gzip"), ("", None)]
)
async def test_forms_are_made_beforehand(start_service: StartService, accepted: str, encoding: str | None) -> None:
    running = await start_service()
    asked = {"accept-encoding": accepted}
    async with (
        aiohttp.ClientSession(auto_decompress=False, skip_auto_headers=["Accept-Encoding"]) as http,
        http.get(f"{running.url}/page/app.js", headers=asked) as answer,
    ):
        assert answer.headers.get("content-encoding") == encoding
        assert "accept-encoding" in answer.headers["vary"]
        body = await answer.read()
    script = build_page(PAGE_DIR).files["app.js"]
    assert body == (script.compressed[encoding] if encoding else script.body)


async def test_another_release_s_name_gets_this_release_s_file(start_service: StartService) -> None:
    """Behind a balancer, in an upgrade"""
    running = await start_service()
    async with running.http.get("/page/app-0123456789ab.js") as answer:
        assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
        assert "javascript" in answer.content_type


async def test_nothing_else_is_a_file(start_service: StartService) -> None:
    running = await start_service()
    for path in (
        *("/page/", "/page", "/page/../config.py", "/page/%2e%2e/config.py", "/page/%00", "/page/" + "x" * 5000),
        *("/page/index.html", "/page/none-0123456789ab.js"),
    ):
        async with running.http.get(running.url + path) as answer:
            assert (answer.status, (await answer.json())["error"]["code"]) == (404, "unknown_path"), path
    async with running.http.post("/page/app.js") as answer:
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


async def test_a_changed_source_is_seen_after_a_reload(tmp_path: Path) -> None:
    source = tmp_path / "page"
    shutil.copytree(PAGE_DIR, source)
    files = PageFiles("", source, look_s=0)

    async def index() -> bytes:
        request = Request({"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""})
        return bytes((await files.index(request)).body)

    before = await index()
    (source / "style.css").write_text("b {}")
    after = await index()
    assert before != after
    with capture_logs() as logs:
        (source / "app.js").write_text("\nexport default 1;")
        assert await index() == after
        assert await index() == after
    assert ["app.js:2" in log["reason"] for log in logs] == [True], "said once"
    (source / "app.js").write_text("console.log(1);")
    assert await index() != after


def test_an_encoding_that_saves_nothing_is_not_offered(tmp_path: Path) -> None:
    for name, text in (("index.html", "<p>"), ("app.js", "1")):
        (tmp_path / name).write_text(text)
    assert best_encoding("br, gzip", build_page(tmp_path).index) == ""
