"""The service's connections: heads have an end, in time and in bytes, and whatever is no HTTP gets its 400"""

import asyncio
import gc
import json
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from proto.http import connection as connections
from proto.http.exchange import Exchange
from tests.comment_service.conftest import RunningService, StartService
from tests.waiting import eventually

GET = b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n"


@asynccontextmanager
async def connection(running: RunningService) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def assert_refused(running: RunningService, sent: bytes, status: bytes, code: str) -> None:
    async with connection(running) as (reader, writer):
        writer.write(sent)
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 " + status)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"\r\nconnection: close" in head
        assert json.loads(body)["error"]["code"] == code


async def assert_closed(reader: asyncio.StreamReader) -> None:
    async with asyncio.timeout(20):
        assert await reader.read() == b""


@pytest.mark.parametrize("sent", [b"", b"GET /", b"GET / HTTP/1.1\r\nhost: x\r\n"])
async def test_a_head_that_does_not_end_in_time(start_service: StartService, sent: bytes) -> None:
    running = await start_service(head_timeout_s=1)
    async with connection(running) as (reader, writer):
        writer.write(sent)
        await assert_closed(reader)


async def test_a_second_head_that_does_not_end_in_time(start_service: StartService) -> None:
    running = await start_service(head_timeout_s=1, keep_alive_s=1000)
    async with connection(running) as (reader, writer):
        writer.write(GET)
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200 ")
        writer.write(b"GET /health")
        await assert_closed(reader)


async def test_a_head_without_end(start_service: StartService) -> None:
    running = await start_service(head_bytes_max=4096)
    await assert_refused(running, b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"x" * 70_000, b"431 ", "head_too_large")


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a TLS client that came to the wrong door
        b"hello\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost x\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nhost: x\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST /comment/create HTTP/1.1\r\nhost: x\r\ncontent-length: x\r\n\r\n",
        b"POST /comment/create HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
    ],
)
async def test_what_is_no_http(start_service: StartService, sent: bytes) -> None:
    running = await start_service()
    await assert_refused(running, sent, b"400 ", "malformed_request")


async def test_an_upgrade_that_nobody_offers_is_a_plain_request(start_service: StartService) -> None:
    running = await start_service()
    headers = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13", "sec-websocket-key": "x"}
    async with running.http.get("/health/live", headers=headers) as answer:
        assert answer.status == 200


async def test_a_refused_body_is_skipped_and_the_connection_goes_on(start_service: StartService) -> None:
    running = await start_service(head_bytes_max=4096)
    async with connection(running) as (reader, writer):
        head = b"POST /comment/create HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        writer.write(head + b"content-length: 200000\r\n\r\n")
        assert (await reader.readuntil(b"}}")).startswith(b"HTTP/1.1 413 ")
        writer.write(b"x" * 200_000 + GET)
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200 ")


async def test_a_refused_body_that_does_not_end_in_time(start_service: StartService) -> None:
    running = await start_service(head_timeout_s=1, keep_alive_s=1000)
    async with connection(running) as (reader, writer):
        head = b"POST /comment/create HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        writer.write(head + b"content-length: 200000\r\n\r\n")
        assert (await reader.readuntil(b"}}")).startswith(b"HTTP/1.1 413 ")
        writer.write(b"x")
        await assert_closed(reader)


async def test_too_many_connections(start_service: StartService) -> None:
    running = await start_service(connections_max=2)
    await running.http.close()
    connections = running.service.server.server_state.connections
    await eventually(lambda: not connections)
    async with connection(running), connection(running):
        await eventually(lambda: len(connections) == 2)
        await assert_refused(running, GET, b"503 ", "too_many_connections")
        async with connection(running) as (reader, writer):
            writer.write(
                b"GET /comments/v HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\nlast-event-id: x\r\n\r\n"
            )
            assert (await reader.read()).endswith(b"\r\n\r\nretry: 2000\n\n"), "an EventSource that comes back"
    await eventually(lambda: not connections)
    async with connection(running) as (reader, writer):
        writer.write(GET)
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200 ")


POST = b"POST /comment/create HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
SAID = b'{"liveVideoId":"demo","message":"hi"}'


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (POST % (len(SAID), SAID), b"200"),
        (b"GET /comments/demo HTTP/1.1\r\nhost: x\r\n\r\n", b"200"),
        (b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n", b"404"),
        (POST % (1, b"{"), b"400"),
        (POST.replace(b"host", b"expect: \r\nhost") % (len(SAID), SAID), b"200"),  # unusual: the app behind answers
        (POST.replace(b"host", b"expect: \r\nhost") % (1, b"{"), b"400"),
        (POST.replace(b"host", b"idempotency-key: a key\r\nhost") % (len(SAID), SAID), b"200"),
        (POST.replace(b"host", b"idempotency-key: a key\r\nhost") % (1, b"{"), b"400"),
        (b"GET /comments/demo?pagesize=x HTTP/1.1\r\nhost: x\r\n\r\n", b"400"),
        (POST % (20_000, b" " * 20_000), b"413"),
        (POST % (200_000, b" " * 200_000), b"413"),
    ],
)
async def test_an_answered_request_needs_no_collector(
    start_service: StartService, monkeypatch: pytest.MonkeyPatch, sent: bytes, status: bytes
) -> None:
    """Its body goes with it at once; the collector comes rarely."""
    running = await start_service()
    exchanges: list[weakref.ref[Any]] = []

    class Noted(Exchange):
        def __init__(self, *args: Any, **facts: Any) -> None:
            super().__init__(*args, **facts)
            exchanges.append(weakref.ref(self))

    monkeypatch.setattr(connections, "Exchange", Noted)
    gc.disable()
    try:
        for _ in range(4):  # the second page is kept, and by the third one the origin's headers are known
            async with connection(running) as (reader, writer):
                writer.write(sent)
                assert (await reader.readline()).split()[1] == status
        await eventually(lambda: len(exchanges) == 4 and not any(exchange() for exchange in exchanges))
    finally:
        gc.enable()


async def answers(reader: asyncio.StreamReader, count: int) -> list[tuple[int, Any]]:
    """Status and JSON of so many answers on one connection"""
    found: list[tuple[int, Any]] = []
    async with asyncio.timeout(20):
        while len(found) < count:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            found.append((int(head.split()[1]), json.loads(await reader.readexactly(length))))
    return found


def said(message: str) -> bytes:
    body = b'{"liveVideoId":"demo","message":"%b"}' % message.encode()
    return POST % (len(body), body)


async def test_posts_in_a_row_are_answered_in_order(start_service: StartService) -> None:
    running = await start_service()
    async with connection(running) as (reader, writer):
        writer.write(said("0") + said("1") + GET + said("2") + POST % (1, b"{") + said("3"))
        got = await answers(reader, 6)
    assert [status for status, _ in got] == [200, 200, 200, 200, 400, 200]
    assert [words["message"] for _, words in got if "message" in words] == ["0", "1", "2", "3"]


async def test_a_request_behind_an_answered_one_may_take_longer_than_a_connection_is_kept(
    start_service: StartService,
) -> None:
    running = await start_service(keep_alive_s=1, store_slow_ms=20_000)
    page = b"GET /comments/demo HTTP/1.1\r\nhost: x\r\n\r\n"
    async with connection(running) as (reader, writer):
        for _ in range(3):  # until it is kept
            writer.write(page)
            assert (await answers(reader, 1))[0][0] == 200
        go, append = asyncio.Event(), running.service.lazy_store.append

        async def late(comments: Any) -> None:
            await go.wait()
            await append(comments)

        running.service.lazy_store.append = late  # type: ignore[method-assign]
        writer.write(page + said("behind"))
        assert (await answers(reader, 1))[0][0] == 200
        timer = asyncio.get_running_loop().call_later(2, go.set)
        assert (await answers(reader, 1))[0][0] == 200
        timer.cancel()


@pytest.mark.parametrize("cut", [10, -60, -20, -1])
async def test_a_post_that_arrives_in_pieces(start_service: StartService, cut: int) -> None:
    running = await start_service()
    async with connection(running) as (reader, writer):
        for message in ("first", "second"):
            whole = said(message)
            writer.write(whole[:cut])
            await writer.drain()
            async with running.http.get("/health/live") as answer:  # by then the first piece has been read
                assert answer.status == 200
            writer.write(whole[cut:])
            ((status, words),) = await answers(reader, 1)
            assert (status, words["message"]) == (200, message)


async def test_a_body_that_stops_being_http(start_service: StartService) -> None:
    running = await start_service()
    head = POST.partition(b"content-length")[0]
    sent = head + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\nzz\r\n"
    await assert_refused(running, sent, b"400 ", "malformed_request")
    assert not running.service.server.server_state.tasks


async def test_a_post_under_way_is_answered_when_the_service_ends(start_service: StartService) -> None:
    running = await start_service()
    async with running.http.post("/comment/create", json={"videoId": "demo", "message": "warm"}) as answer:
        assert answer.status == 200
    go, append = asyncio.Event(), running.service.lazy_store.append

    async def late(comments: Any) -> None:
        await go.wait()
        await append(comments)

    running.service.lazy_store.append = late  # type: ignore[method-assign]
    await running.http.close()
    connections: set[Any] = running.service.server.server_state.connections
    await eventually(lambda: not connections)
    async with connection(running) as (reader, writer):
        writer.write(said("the last"))
        await eventually(lambda: running.service.commit.statistics().writes_under_way == 1)
        running.service.stop()
        (serving,) = [each for each in connections if each.exchange]
        await eventually(lambda: not serving.exchange.keep_alive)  # the server has told it to end with its answer
        go.set()
        ((status, words),) = await answers(reader, 1)
        assert (status, words["message"]) == (200, "the last")
        await assert_closed(reader)


async def test_who_leaves_before_his_answer_has_said_it(start_service: StartService) -> None:
    running = await start_service()
    async with connection(running) as (_, writer):
        writer.write(said("warm") + said("gone"))
        await writer.drain()

    async def is_there() -> bool:
        async with running.http.get("/comments/demo") as answer:
            return "gone" in await answer.text()

    async with connection(running) as (_, writer):
        writer.write(said("gone"))
        await writer.drain()
    await eventually(is_there)
