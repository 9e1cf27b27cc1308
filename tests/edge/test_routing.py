"""Where each balancer sends a request, and what it adds and takes away. The services are stand-ins."""

import contextlib
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from tests.edge.balancers import HASH, KINDS, WAYS, Edge
from tests.edge.services import SERVICE, Services
from tests.waiting import eventually

STREAM = {"Accept": "text/event-stream"}
BACK = STREAM | {"Last-Event-ID": "0000000000000001"}
NODES = {"rms-1", "rms-2", "rms-3"}


@contextlib.asynccontextmanager
async def edge(
    kind: str, way: str, certificates: Path, prefix: str = "", scheme: str = "http"
) -> AsyncIterator[tuple[Services, aiohttp.ClientSession]]:
    """A session whose requests go to the balancer. It never reuses a connection, as viewers are many."""
    trusted = ssl.create_default_context(cafile=certificates / "ca.pem")
    connector = aiohttp.TCPConnector(force_close=True, ssl=trusted)
    async with Services() as services:
        service, *nodes = services.addresses
        async with (
            Edge(kind, way, service, nodes, certificates, prefix) as balancer,
            aiohttp.ClientSession(
                balancer.origin if scheme == "https" else balancer.clear_origin, connector=connector
            ) as http,
        ):
            yield services, http


async def who(http: aiohttp.ClientSession, path: str, accept: str | None = None, method: str = "GET") -> str:
    """Who answers with a 200"""
    skip = ["Accept"] if accept is None else []
    headers = {} if accept is None else {"Accept": accept}
    async with http.request(method, path, headers=headers, skip_auto_headers=skip) as answer:
        assert answer.status == 200, await answer.text()
        return str((await answer.json())["who"])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
async def test_who_gets_what(kind: str, way: str, certificates: Path) -> None:
    async with edge(kind, way, certificates) as (_, http):
        for stream in ("text/event-stream", "TEXT/Event-Stream", "text/html, text/event-stream"):
            assert (await who(http, "/comments/v?backfill=1", stream) in NODES) == (way == HASH), stream
        assert (await who(http, "/comments/v?wait=25", "application/json") in NODES) == (way == HASH)
        # Whoever wants something else, or as well, is for comment_service to judge.
        for accept in (
            *(None, "*/*", "application/json", "application/json, text/event-stream", "text/event-stream;q=0"),
            *("text/event-stream;q=0.2, application/JSON", "text/*"),
        ):
            assert await who(http, "/comments/v", accept) == SERVICE, accept
        for path in ("/", "/page/app.js", "/comment/v", "/comments/v/0123/hide", "/comments/", "/comments/a,b"):
            assert await who(http, path, "text/event-stream") == SERVICE, path
        for method in ("POST", "DELETE", "OPTIONS"):
            assert await who(http, "/comments/v", "text/event-stream", method) == SERVICE, method
        assert await who(http, "/n/rms-2/comments/v", "text/event-stream") == "rms-2"
        for path in ("/metrics", "/health", "/n/rms-1/metrics", "/n/rms-1/health", "/n/rms-1//evil.example", "/n/"):
            async with http.get(path, allow_redirects=False) as answer:
                assert answer.status == 404, path


@pytest.mark.parametrize("kind", KINDS)
async def test_videos_have_their_nodes(kind: str, certificates: Path) -> None:
    async with edge(kind, HASH, certificates) as (_, http):
        videos = [f"video-{number}" for number in range(30)]
        once = {video: await who(http, f"/comments/{video}?a={video}", "text/event-stream") for video in videos}
        again = {video: await who(http, f"/comments/{video}?b=1", "text/event-stream") for video in videos}
        assert once == again
        assert set(once.values()) == NODES


@pytest.mark.parametrize("kind", KINDS)
async def test_a_hot_video_spills(kind: str, certificates: Path) -> None:
    """As far as the balancer knows a bound of the load"""
    async with edge(kind, HASH, certificates) as (_, http), contextlib.AsyncExitStack() as held:
        counts: Counter[str] = Counter()
        for _ in range(30):
            stream = await held.enter_async_context(http.get("/comments/hot?hold=1", headers=STREAM))
            counts[(await stream.content.readline()).decode().strip()] += 1
        if kind == "nginx":
            assert len(counts) == 1
        else:
            assert len(counts) > 1
            assert max(counts.values()) <= 1.5 * 30 / 3 + 1


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("kind", KINDS)
async def test_who_it_is_is_said_by_the_balancer(kind: str, scheme: str, certificates: Path) -> None:
    lies = {
        "X-Forwarded-For": "6.6.6.6",
        "X-Forwarded-Proto": "gopher",
        "X-Forwarded-Host": "evil.example",
        "Forwarded": "for=6.6.6.6",
        "X-Balancer-Tries-Next": "1",
    }
    async with edge(kind, HASH, certificates, scheme=scheme) as (_, http):
        for path in ("/", "/comments/v", "/n/rms-1/comments/v"):
            async with http.get(path, headers=lies | STREAM | {"Host": "example.org:81"}) as answer:
                headers = (await answer.json())["headers"]
            assert headers["x-forwarded-for"] == "127.0.0.1", path
            assert headers["x-forwarded-proto"] == scheme, path
            assert headers["x-forwarded-host"] == headers["host"] == "example.org:81", path
            assert "forwarded" not in headers, path
            assert ("x-balancer-tries-next" in headers) == (path != "/"), path


@pytest.mark.parametrize("prefix", ["", "/live"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_placed_stream_without_its_node_goes_back(kind: str, prefix: str, certificates: Path) -> None:
    async with edge(kind, HASH, certificates, prefix) as (services, http):
        await services.stop("rms-2")
        services.status["rms-3"] = 503
        for node in ("rms-2", "rms-3", "rms-9"):  # dead, full, unknown
            path = f"{prefix}/n/{node}/comments/v.1:~?x=%2F&y=/n/rms-1/comments/w"
            async with http.get(URL(path, encoded=True), headers=BACK, allow_redirects=False) as answer:
                assert answer.status == 307, node
                assert answer.headers["Location"] == f"{prefix}/comments/v.1:~?x=%2F&y=/n/rms-1/comments/w"
                assert answer.headers["Cache-Control"] == "no-store"
                assert answer.headers["Access-Control-Allow-Origin"] == "*"
        async with http.get(URL(f"{prefix}/n/rms-1/comments/v?x=%2F", encoded=True), headers=BACK) as answer:
            assert (await answer.json())["path"] == "/comments/v?x=%2F"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_prefix_is_taken_away(kind: str, certificates: Path) -> None:
    async with edge(kind, HASH, certificates, "/live") as (_, http):
        for path in ("/", "/page/app.js", "/comments/v?x=%2F", "/comment/create"):
            async with http.get(URL(f"/live{path}", encoded=True)) as answer:
                assert (await answer.json())["path"] == path
        assert await who(http, "/live/comments/v", "text/event-stream") in NODES
        async with http.get("/live", allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"].removeprefix(str(http._base_url).rstrip("/"))) == (
                308,
                "/live/",
            )
        for path in ("/live/metrics", "/live/n/rms-1/metrics"):
            async with http.get(path) as answer:
                assert answer.status == 404


@pytest.mark.parametrize("kind", KINDS)
async def test_the_next_node_takes_a_dead_or_full_ones_viewers(kind: str, certificates: Path) -> None:
    async with edge(kind, HASH, certificates) as (services, http):
        first = await who(http, "/comments/v", "text/event-stream")
        await services.stop(first)
        second = await who(http, "/comments/v", "text/event-stream")
        assert second != first
        services.status[second] = 503
        third = await who(http, "/comments/v", "text/event-stream")
        assert {first, second, third} == NODES
        await services.start(first)

        async def is_first_again() -> bool:
            return await who(http, "/comments/v", "text/event-stream") == first

        await eventually(is_first_again)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_event_source_that_comes_back_never_sees_an_error(kind: str, certificates: Path) -> None:
    async with edge(kind, HASH, certificates) as (services, http):
        services.status = dict.fromkeys(NODES, 503)

        async def is_told_to_come_again() -> bool:
            """nginx asks comment_service, whose own answer it is then."""
            async with http.get("/comments/v", headers=BACK) as answer:
                assert answer.status == 200
                return SERVICE in await answer.text() or await answer.read() == b"retry: 5000\n\n"

        assert await is_told_to_come_again()
        for node in NODES:
            await services.stop(node)
        assert await is_told_to_come_again()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_silent_node_is_passed(kind: str, certificates: Path) -> None:
    """Its host takes no connections, and refuses none."""
    async with edge(kind, HASH, certificates) as (services, http):
        first = await who(http, "/comments/v", "text/event-stream")
        await services.stop(first)
        with (
            socket.create_server(("127.0.0.1", services.ports[first]), backlog=0) as silent,
            contextlib.ExitStack() as full,
        ):
            for _ in range(3):  # connections that fill its backlog
                one = full.enter_context(socket.socket())
                one.setblocking(False)
                one.connect_ex(silent.getsockname())
            assert await who(http, "/comments/v", "text/event-stream") != first
