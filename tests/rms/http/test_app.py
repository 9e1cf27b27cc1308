"""rms/http/app.py, through real sockets: what a viewer sends and gets."""

import asyncio
import json
import socket
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from rms.clocks import wall_ms
from tests.rms.conftest import RunningNode, StartNode
from tests.rms.parts import comment, events, ids, without_chunks


class RawViewer:
    """A viewer's bytes, as they come."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.head = b""
        self.received = b""
        """behind the head"""

    @property
    def body(self) -> bytes:
        """As a client reads it: out of its chunks, and gunzipped"""
        body = without_chunks(self.received) if b"transfer-encoding: chunked" in self.head else self.received
        return zlib.decompressobj(31).decompress(body) if b"content-encoding: gzip" in self.head else body

    async def read_to_end(self) -> bytes:
        """Reads until the server has closed; returns the body."""
        async with asyncio.timeout(10):
            self.received += await self.reader.read()
        return self.body

    async def read_until(self, enough: "int | bytes") -> bytes:
        """Reads until so many comments, or these bytes, have come; returns the body so far."""
        async with asyncio.timeout(10):
            while (len(ids(self.body)) < enough) if isinstance(enough, int) else (enough not in self.body):
                data = await self.reader.read(65536)
                assert data, f"closed after {self.body!r}"
                self.received += data
        return self.body


@asynccontextmanager
async def viewer(
    port: int, path: str, headers: str = "", version: str = "1.1", receive_buffer: int | None = None
) -> AsyncIterator[RawViewer]:
    """receive_buffer: bytes; a small one makes a viewer that is full soon"""
    peer = socket.socket()
    if receive_buffer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    peer.setblocking(False)
    await asyncio.get_running_loop().sock_connect(peer, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=peer, limit=receive_buffer or 1 << 16)
    try:
        writer.write(f"GET {path} HTTP/{version}\r\nHost: x\r\nAccept: text/event-stream\r\n{headers}\r\n".encode())
        raw = RawViewer(reader, writer)
        async with asyncio.timeout(10):
            raw.head = await reader.readuntil(b"\r\n\r\n")
        yield raw
    finally:
        writer.close()


async def answer(port: int, request: str) -> tuple[int, dict[str, str], bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request.encode("latin-1"))
    async with asyncio.timeout(10):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.split("\r\n")[:-2]
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0"))) if "HEAD" not in request else b""
    writer.close()
    return int(first.split()[1]), headers, body


async def test_a_viewer_gets_the_past_and_then_what_comes(start_node: StartNode) -> None:
    node = await start_node()
    past = [comment(n) for n in range(60)]
    await node.store.append(past)
    async with viewer(node.port, "/comments/v") as raw:
        assert ids(await raw.read_until(50)) == [c.id for c in past[10:]]
        assert node.dispatcher.interest == {"v": True}
        node.dispatcher.deliver([comment(60), comment(61)])
        assert ids(await raw.read_until(52)) == [c.id for c in [*past[10:], comment(60), comment(61)]]
    head = raw.head.decode().lower()
    for line in (
        "content-type: text/event-stream; charset=utf-8",
        "cache-control: no-cache",
        "x-accel-buffering: no",
        "access-control-allow-origin: *",
    ):
        assert line in head
    first = next(events(raw.body))
    assert list(first) == ["retry", "id", "data"], "retry stands in the first real event"
    assert 1_000 <= int(first["retry"]) <= 3_000
    assert all("id" in event for event in events(raw.body))


async def test_who_asks_for_more_than_the_feed_holds_gets_older_comments_from_history(start_node: StartNode) -> None:
    node = await start_node()
    past = [comment(n, wall_ms() - 3_600_000 + n * 10_000) for n in range(180)]
    await node.store.append(past)
    async with viewer(node.port, "/comments/v") as usual, viewer(node.port, "/comments/v?backfill=150") as raw:
        assert ids(await usual.read_until(50)) == [each.id for each in past[130:]]
        assert ids(await raw.read_until(150)) == [each.id for each in past[30:]]
        shown = list(events(raw.body))
        assert not any("id" in event for event in shown[:100]), "what is older moves no position"
        assert all("id" in event for event in shown[100:])
        new = comment(1, wall_ms())
        node.dispatcher.deliver([new])
        assert ids(await raw.read_until(151))[150:] == [new.id]
    async with viewer(node.port, "/comments/v?backfill=200") as raw:
        assert ids(await raw.read_until(181)) == [*(each.id for each in past), new.id]


async def test_a_delivery_is_acknowledged_and_a_double_dropped(start_node: StartNode) -> None:
    node = await start_node()
    async with viewer(node.port, "/comments/v?backfill=0") as raw:
        node.dispatcher.deliver([comment(1)])
        node.dispatcher.deliver([comment(1), comment(2)])
        assert ids(await raw.read_until(2)) == [comment(1).id, comment(2).id]


@pytest.mark.parametrize("where", ["header", "query"])
async def test_resuming_after_a_cut_is_exact(start_node: StartNode, where: str) -> None:
    node = await start_node()
    talk = [comment(n, wall_ms()) for n in range(10)]
    async with viewer(node.port, "/comments/v") as raw:
        node.dispatcher.deliver(talk[:5])
        last = [event["id"] for event in events(await raw.read_until(5)) if "event" not in event][2]
    node.dispatcher.deliver(talk[5:])
    path, header = (
        ("/comments/v", f"Last-Event-ID: {last}\r\n") if where == "header" else (f"?last_event_id={last}", "")
    )
    async with viewer(node.port, path if where == "header" else f"/comments/v{path}", header) as raw:
        assert ids(await raw.read_until(7)) == [c.id for c in talk[3:]]


@pytest.mark.parametrize("form", ["", "&max_rate=100", "&backfill=0"])
async def test_who_is_cut_before_anything_was_said_misses_nothing(start_node: StartNode, form: str) -> None:
    """Without a position it would come back as a new one, and get the last comments only."""
    node = await start_node()
    async with viewer(node.port, f"/comments/v?{form}") as raw:
        (first,) = events(await raw.read_until(b"\n\n"))
        assert first["event"] == "viewers"
    talk = [comment(n, wall_ms()) for n in range(60)]
    async with viewer(node.port, "/comments/v") as other:
        node.dispatcher.deliver(talk)
        await other.read_until(60)
    async with viewer(node.port, f"/comments/v?last_event_id={first['id']}{form}") as raw:
        assert ids(await raw.read_until(60)) == [each.id for each in talk]


async def test_the_header_wins_over_an_older_query(start_node: StartNode) -> None:
    """A browser's EventSource repeats the query of its URL for ever."""
    node = await start_node()
    talk = [comment(n, wall_ms()) for n in range(6)]
    async with viewer(node.port, "/comments/v") as raw:
        node.dispatcher.deliver(talk)
        older, *_, newer, _ = [event["id"] for event in events(await raw.read_until(6))]
    path = f"/comments/v?last_event_id={older}"
    async with viewer(node.port, path, f"Last-Event-ID: {newer}\r\n") as raw:
        assert ids(await raw.read_until(1)) == [talk[-1].id]


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_http_1_0_and_a_pipelined_request_behind(start_node: StartNode, encoding: str) -> None:
    node = await start_node(gzip_viewers_min=1)
    await node.store.append([comment(1)])
    asks = f"Accept-Encoding: {encoding}\r\n"
    async with (
        viewer(node.port, "/comments/v", asks, version="1.0") as old,
        viewer(node.port, "/comments/v", asks) as raw,
    ):
        raw.writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert [b"transfer-encoding: chunked" in each.head for each in (old, raw)] == [False, True]
        for each in (old, raw):
            assert b"connection: close" in each.head
            assert ids(await each.read_until(1)) == [comment(1).id]
        node.dispatcher.deliver([comment(2)])
        for each in (old, raw):
            body = await each.read_until(2)
            assert b"HTTP/1.1" not in body


async def test_idle_viewers_get_heartbeats_that_are_no_events(start_node: StartNode) -> None:
    node = await start_node(heartbeat_ms=1)
    async with viewer(node.port, "/comments/v") as raw:
        await raw.read_until(b":\n")
        node.dispatcher.deliver([comment(1)])
        body = await raw.read_until(1)
        assert body.startswith(b"retry: ")
        assert b"\n\n" not in body[: body.index(b"id: ")], "no empty event in front"


def get(target: str, accept: str = "text/event-stream", more: str = "", method: str = "GET") -> str:
    return f"{method} {target} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n{more}\r\n"


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (get("/comments/" + "v" * 129), 400, "invalid_video_id"),
        (get("/comments/a%20b"), 400, "invalid_video_id"),
        (get("/comments/%ff"), 400, "invalid_video_id"),
        (get("/comments/a/b"), 404, "not_found"),
        (get("/"), 404, "not_found"),
        (get("/comments/v", accept="application/json"), 406, "not_acceptable"),
        (get("/comments/v?backfill=-1"), 400, "invalid_backfill"),
        (get("/comments/v?backfill=201"), 400, "invalid_backfill"),
        (get("/comments/v?backfill=%D9%A3"), 400, "invalid_backfill"),
        (get("/comments/v?last_event_id=zz"), 400, "invalid_last_event_id"),
        (get("/comments/v", "*/*", "Last-Event-ID: ~\xff\r\n"), 400, "invalid_last_event_id"),
        (get("/comments/v", method="POST"), 405, "method_not_allowed"),
        (get("/comments/v", method="DELETE"), 405, "method_not_allowed"),
    ],
)
async def test_bad_input_gets_a_4xx_that_says_what_is_right(
    start_node: StartNode, request_: str, status: int, code: str
) -> None:
    node = await start_node()
    got, headers, body = await answer(node.port, request_)
    error = json.loads(body)["error"]
    assert (got, error["code"]) == (status, code)
    assert error["message"]
    assert (got == 405) == ("allow" in headers)
    assert not node.dispatcher.interest


async def test_head_tells_without_a_stream(start_node: StartNode) -> None:
    node = await start_node()
    status, headers, _ = await answer(node.port, get("/comments/v", method="HEAD"))
    assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert "content-length" not in headers, "a stream has none"
    assert len(node.node.viewers) == 0


async def test_who_accepts_a_stream_in_any_line_gets_one(start_node: StartNode) -> None:
    node = await start_node()
    lines = "Accept: application/json\r\nAccept: text/*;q=0.5\r\n"
    request = get("/comments/v?_=1&utm_source=mail", more=lines, method="HEAD").replace(
        "Accept: text/event-stream\r\n", ""
    )
    status, _, _ = await answer(node.port, request)
    assert status == 200


async def test_a_full_node_says_when_to_come_back(start_node: StartNode) -> None:
    node = await start_node(capacity=1)
    async with viewer(node.port, "/comments/v"):
        status, headers, body = await answer(node.port, get("/comments/v"))
        assert (status, json.loads(body)["error"]["code"]) == (503, "full")
        assert 5 <= int(headers["retry-after"]) <= 10
        status, _, body = await answer(node.port, get("/health/ready"))
        assert status == 503
    status, _, body = await answer(node.port, get("/health/live"))
    assert status == 200


async def test_too_many_videos(start_node: StartNode) -> None:
    node = await start_node(videos_max=1)
    async with viewer(node.port, "/comments/v"):
        status, _, body = await answer(node.port, get("/comments/w"))
        assert (status, json.loads(body)["error"]["code"]) == (503, "too_many_videos")


async def test_health(start_node: StartNode) -> None:
    node: RunningNode = await start_node()
    for path in ("/health/ready", "/health/live"):
        status, headers, body = await answer(node.port, get(path))
        assert (status, headers["cache-control"], json.loads(body)) == (200, "no-store", {"status": "ok"})
    for path in ("/health", "/metrics"):
        assert (await answer(node.port, get(path)))[0] == 404, "nothing for strangers"
    status, headers, body = await answer(node.operators_port, get("/health/ready"))
    assert status == 200
    assert headers["cache-control"] == "no-store"
    assert json.loads(body) == {
        "status": "ok",
        "dispatchers": 1,
        "viewers": 0,
        "clock": "ok",
        "capacity": 19_000,
        "videos": 0,
        "draining": False,
    }


async def test_another_origin_may_read(start_node: StartNode) -> None:
    node = await start_node()
    request = get("/comments/v?backfill=x", more="Origin: http://page\r\n")
    _, headers, _ = await answer(node.port, request)
    assert headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("header", ["last-event-id", "cache-control", "x-requested-with", "authorization"])
async def test_a_page_of_another_origin_may_send_what_clients_send(start_node: StartNode, header: str) -> None:
    node = await start_node()
    ask = f"Access-Control-Request-Method: GET\r\nAccess-Control-Request-Headers: accept,{header}\r\n"
    request = get("/comments/v", more=f"Origin: http://page\r\n{ask}", method="OPTIONS")
    status, headers, body = await answer(node.port, request)
    assert status == 200, body
    assert header in headers["access-control-allow-headers"].lower().split(", ")


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_named_origins_may_read_with_credentials(start_node: StartNode, encoding: str) -> None:
    node = await start_node(gzip_viewers_min=1, credentials_origins="http://a.example,http://b.example")
    for origin, allowed in (("http://b.example", "http://b.example"), ("http://c.example", "*")):
        lines = f"Origin: {origin}\r\nAccept-Encoding: {encoding}\r\n"
        async with viewer(node.port, "/comments/v", lines) as raw:
            assert raw.head.count(b"access-control-allow-origin:") == 1
            assert f"access-control-allow-origin: {allowed}\r\n".encode() in raw.head
            assert (b"access-control-allow-credentials: true\r\n" in raw.head) is (allowed == origin)
        ask = f"Origin: {origin}\r\nAccess-Control-Request-Method: GET\r\n"
        for request in (get("/comments/v?backfill=x", more=lines), get("/comments/v", more=ask, method="OPTIONS")):
            _, headers, _ = await answer(node.port, request)
            assert headers["access-control-allow-origin"] == allowed
            assert ("access-control-allow-credentials" in headers) is (allowed == origin)


async def test_a_refused_preflight_has_the_form_of_all_errors(start_node: StartNode) -> None:
    node = await start_node()
    ask = "Origin: http://page\r\nAccess-Control-Request-Method: PUT\r\n"
    status, _, body = await answer(node.port, get("/comments/v", more=ask, method="OPTIONS"))
    assert (status, json.loads(body)["error"]["code"]) == (400, "cors_refused")


async def test_gzip_flows_event_by_event(start_node: StartNode) -> None:
    node = await start_node(gzip_viewers_min=1)
    past = [comment(n) for n in range(20)]
    await node.store.append(past)
    async with viewer(node.port, "/comments/v", "Accept-Encoding: br, gzip\r\n") as raw:
        assert b"content-encoding: gzip" in raw.head
        for number in range(20, 40):
            await raw.read_until(number)
            node.dispatcher.deliver([comment(number)])
        assert ids(raw.body) == [comment(n).id for n in range(40)][: len(ids(raw.body))]
        assert raw.body.startswith(b"retry: ")


@pytest.mark.parametrize("accepted", ["", "identity", "gzip;q=0", "br, deflate"])
async def test_who_does_not_ask_for_gzip_gets_none(start_node: StartNode, accepted: str) -> None:
    node = await start_node(gzip_viewers_min=1)
    async with viewer(node.port, "/comments/v", f"Accept-Encoding: {accepted}\r\n") as raw:
        assert b"content-encoding" not in raw.head


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_a_viewer_may_ask_for_fewer_comments(start_node: StartNode, encoding: str) -> None:
    node = await start_node(gzip_viewers_min=1)
    async with viewer(node.port, "/comments/v?max_rate=7", f"Accept-Encoding: {encoding}\r\n") as raw:
        node.dispatcher.deliver([comment(n) for n in range(50)])
        text = await raw.read_until(b"event: skipped")
        assert len(ids(text)) == 5, "the tier below 7"
        assert b'data: {"skipped":45}\n' in text


@pytest.mark.parametrize("rate", ["0", "x", "-1", "10000000"])
async def test_a_rate_that_is_none(start_node: StartNode, rate: str) -> None:
    node = await start_node()
    status, _, body = await answer(node.port, get(f"/comments/v?max_rate={rate}"))
    assert (status, json.loads(body)["error"]["code"]) == (400, "invalid_max_rate")
