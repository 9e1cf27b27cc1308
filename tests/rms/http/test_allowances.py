"""rms/http/allowances.py, through real sockets: what one address may take of a node, and that all of it comes back"""

import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route
from structlog.testing import capture_logs

from proto.http.guard import Guard
from proto.http.requests import Head, RequestReader
from rms.config import DoorSettings
from rms.http.allowances import FREE, streams_limit
from rms.http.door_app import DoorFace, build_door_server
from tests.rms.conftest import RunningNode, StartNode
from tests.rms.door.test_main import open_door
from tests.rms.http.test_admission import ASKED
from tests.rms.http.test_app import answer, viewer
from tests.rms.parts import comment
from tests.waiting import eventually

STRANGER, OTHER = "X-Forwarded-For: 9.9.9.9\r\n", "X-Forwarded-For: 8.8.8.8\r\n"


async def node_with(start_node: StartNode, **settings: Any) -> RunningNode:
    """Callers are who the test says that they are."""
    return await start_node(trusted_proxies="127.0.0.0/8", **settings)


async def refusal(port: int, path: str, who: str = STRANGER) -> tuple[int, str]:
    status, headers, body = await answer(
        port, f"GET {path} HTTP/1.1\r\nhost: x\r\nAccept: text/event-stream\r\n{who}\r\n"
    )
    assert int(headers["retry-after"]) >= 1
    return status, json.loads(body)["error"]["code"]


async def test_an_address_has_so_many_streams_until_they_end(start_node: StartNode) -> None:
    node = await node_with(start_node, streams_per_address_max=2)
    async with viewer(node.port, "/comments/v", STRANGER) as first, viewer(node.port, "/comments/v", STRANGER):
        assert first.head.startswith(b"HTTP/1.1 200")
        assert await refusal(node.port, "/comments/v") == (429, "too_many_streams")
        async with viewer(node.port, "/comments/v", OTHER) as other:
            assert other.head.startswith(b"HTTP/1.1 200")
        async with viewer(node.port, "/comments/v") as mine:  # of the proxy itself, which has no limits
            assert mine.head.startswith(b"HTTP/1.1 200")
        assert node.node.allowances.refused == {"too_many_streams": 1}
    await eventually(lambda: len(node.node.viewers) == 0)
    async with viewer(node.port, "/comments/v", STRANGER) as again:
        assert again.head.startswith(b"HTTP/1.1 200")


async def test_whatever_ends_a_stream_gives_its_seat_back(start_node: StartNode) -> None:
    """Refused later on, streamed, streamed and never read, drained"""
    node = await node_with(start_node, streams_per_address_max=1, videos_max=1)
    viewers = node.node.viewers

    async def none() -> None:
        return None

    body = await viewers.enter(ASKED, none, "k")
    del body
    body = await viewers.enter(ASKED, none, "k")
    assert isinstance(body, AsyncIterator)
    await anext(body)
    await body.aclose()  # type: ignore[attr-defined]
    async with viewer(node.port, "/comments/v", OTHER):
        assert await refusal(node.port, "/comments/w", STRANGER) == (503, "too_many_videos")
        async with viewer(node.port, "/comments/v", STRANGER):
            pass
        await eventually(lambda: len(node.node.viewers) == 1)
        async with viewer(node.port, "/comments/v", STRANGER) as last:
            assert last.head.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("settings", "code", "status", "others"),
    [
        ({"new_videos_per_s": 0.1}, "too_many_new_videos", 429, 200),
        ({"new_videos_per_s_max": 0.1}, "too_many_new_videos_of_all", 503, 503),
        ({"new_streams_per_s": 0.1}, "too_many_new_streams", 429, 200),
        ({"new_streams_per_s_max": 0.1}, "too_many_new_streams_of_all", 503, 503),
    ],
)
async def test_new_videos_and_streams_have_a_rate(
    start_node: StartNode, settings: dict[str, float], code: str, status: int, others: int
) -> None:
    node = await node_with(start_node, **settings)
    async with viewer(node.port, "/comments/v0", STRANGER):
        assert await refusal(node.port, "/comments/v1") == (status, code)
        assert len(node.node.served) == 1
        async with viewer(node.port, "/comments/v2", OTHER) as other:
            assert other.head.startswith(f"HTTP/1.1 {others}".encode())


async def test_reads_of_the_past_have_a_rate_and_who_needs_none_comes_in(start_node: StartNode) -> None:
    node = await node_with(start_node, history_reads_per_s=0.1)
    await node.store.append([comment(n, 1_700_000_000_000 + n * 10_000) for n in range(300)])
    async with AsyncExitStack() as stack:
        for path, who in (
            ("/comments/v", STRANGER),
            ("/comments/v?backfill=200", STRANGER),
            ("/comments/v?backfill=200", OTHER),
        ):
            assert (await stack.enter_async_context(viewer(node.port, path, who))).head.startswith(b"HTTP/1.1 200")
        assert await refusal(node.port, "/comments/v?backfill=200") == (429, "too_many_reads")
        assert (await stack.enter_async_context(viewer(node.port, "/comments/v", STRANGER))).head[9:12] == b"200"


async def test_a_door_tells_its_nodes_who_it_is(start_node: StartNode, tmp_path: Path) -> None:
    node = await node_with(start_node, streams_per_address_max=1, door_socket=str(tmp_path / "n1.sock"))
    node.dispatcher.placements = ["n1"]
    trusting = ("--trusted-proxies", "127.0.0.0/8")
    async with open_door(node.dispatcher, tmp_path, more=trusting) as port:
        async with viewer(port, "/comments/v", STRANGER):
            assert await refusal(port, "/comments/v") == (429, "too_many_streams")
            async with viewer(port, "/comments/v", OTHER) as other:
                assert other.head.startswith(b"HTTP/1.1 200")
        await eventually(lambda: len(node.node.viewers) == 0)
        async with viewer(port, "/comments/v", STRANGER) as again:
            assert again.head.startswith(b"HTTP/1.1 200")


async def test_an_event_source_over_its_limit_comes_again(start_node: StartNode) -> None:
    node = await node_with(start_node, streams_per_address_max=1)
    async with viewer(node.port, "/comments/v", STRANGER) as first:
        await first.read_until(b"\n\n")
        last = f"Last-Event-ID: {comment(5).id:016x}\r\n"
        async with viewer(node.port, "/comments/v", STRANGER + last) as second:
            assert second.head.startswith(b"HTTP/1.1 200")
            assert (await second.read_to_end()).startswith(b"retry: ")


@pytest.mark.parametrize("query", ["wait=", "wait=25", "a=1&wait=no"])
async def test_a_stream_is_a_new_stream_whatever_stands_in_its_query(start_node: StartNode, query: str) -> None:
    node = await node_with(start_node, new_streams_per_s=0.1)
    async with viewer(node.port, f"/comments/v?{query}", STRANGER) as first:
        assert first.head.startswith(b"HTTP/1.1 200")
        assert await refusal(node.port, f"/comments/v?{query}") == (429, "too_many_new_streams")


async def ask(port: int, who: str, query: str = "wait=0") -> tuple[int, Any]:
    request = f"GET /comments/v?{query} HTTP/1.1\r\nhost: x\r\nAccept: application/json\r\n{who}\r\n"
    status, _, body = await answer(port, request)
    return status, json.loads(body)


async def test_the_seat_of_a_viewer_who_polls_is_its_address_s_until_it_is_given_up(start_node: StartNode) -> None:
    node = await node_with(start_node, streams_per_address_max=2, poll_rest_ms=600_000)
    first = (await ask(node.port, STRANGER))[1]
    assert (await ask(node.port, STRANGER))[0] == 200
    assert (await ask(node.port, STRANGER))[1]["error"]["code"] == "too_many_streams"
    assert (await ask(node.port, OTHER))[0] == 200
    for _ in range(5):
        again = f"wait=0&last_event_id={first['position']}"
        assert (await ask(node.port, STRANGER, again))[0] == 200
    assert len(node.node.viewers) == 3


async def test_a_seat_that_nobody_comes_back_to_is_its_address_s_no_more(start_node: StartNode) -> None:
    node = await node_with(start_node, streams_per_address_max=1, poll_rest_ms=1)
    assert (await ask(node.port, STRANGER))[0] == 200
    await eventually(lambda: len(node.node.viewers) == 0)
    assert (await ask(node.port, STRANGER))[0] == 200


async def test_long_polls_have_a_rate_and_streams_their_own(start_node: StartNode) -> None:
    node = await node_with(start_node, polls_per_s=0.1)
    assert (await ask(node.port, STRANGER))[0] == 200
    status, body = await ask(node.port, STRANGER)
    assert (status, body["error"]["code"]) == (429, "too_many_polls")
    assert (await ask(node.port, OTHER))[0] == 200
    async with viewer(node.port, "/comments/v", STRANGER) as stream:
        assert stream.head.startswith(b"HTTP/1.1 200")


def head(method: str, path: str, more: str = "") -> Head:
    read = RequestReader(1_000, 10).read(f"{method} {path} HTTP/1.1\r\nhost: x\r\n{more}\r\n".encode())[0]
    assert read is not None
    return read


async def test_every_route_is_under_a_limit_or_said_to_be_free(start_node: StartNode) -> None:
    node = await start_node()
    settings = DoorSettings.parse([])
    door = build_door_server(settings, DoorFace(None, 5, ()), Counter())  # type: ignore[arg-type]
    for server in (node.node.server, door):
        limit_of = streams_limit(Guard(settings, Counter()), settings)
        free = set()
        for route in server.config.app.routes:  # type: ignore[union-attr]
            assert isinstance(route, Route)
            path = re.sub("{.*?}", "x", route.path)
            for asked in (head("GET", path), head("GET", f"{path}?wait=25")):
                if limit_of(asked) is None:
                    free.add(route.path)
            assert route.methods == {"GET", "HEAD"}
        assert free == FREE.keys()


async def test_an_operator_finds_out_why_all_viewers_behind_his_balancer_are_one(start_node: StartNode) -> None:
    node = await start_node(streams_per_address_max=1, unlimited_networks="")
    with capture_logs() as lines:
        async with viewer(node.port, "/comments/v", STRANGER):
            assert await refusal(node.port, "/comments/v") == (429, "too_many_streams")
    (line,) = [line for line in lines if "--trusted-proxies" in line["event"]]
    assert (line["address"], line["written"]) == ("127.0.0.1", "x-forwarded-for")
