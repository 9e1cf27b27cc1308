"""proto/http/connection.py and exchange.py, through real sockets: each request gets its response, and whatever a client
does or leaves undone, its connection has an end."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from proto.http.connection import Take
from proto.http.exchange import take_socket_of
from proto.http.server import HttpServer, build_server, listen
from proto.http_settings import PIPELINED_BYTES_MAX, ConnectionLimits
from tests.waiting import eventually

LIMITS = ConnectionLimits(
    head_timeout_s=60, head_bytes_max=4096, headers_max=50, keep_alive_s=60, send_timeout_s=60, connections_max=100
)
GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


@dataclass
class Serving:
    server: HttpServer
    port: int
    ended: AsyncExitStack

    @property
    def connections(self) -> set[Any]:
        return set(self.server.server_state.connections)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection that ends with the test at the latest"""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.ended.callback(lambda: writer.transport.abort())  # and so the writer lives until then
        return reader, writer


Serve = Callable[..., Awaitable[Serving]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    async with AsyncExitStack() as stack:

        async def start(
            app: ASGIApp, take: Take | None = None, offers_socket: bool = False, **limits: float
        ) -> Serving:
            changed: Any = limits
            server = build_server(app, replace(LIMITS, **changed), stop_s=1.0, take=take, offers_socket=offers_socket)
            listener = listen("127.0.0.1:0", 100)
            running = asyncio.create_task(server.serve(sockets=[listener]))

            async def stop() -> None:
                server.stop()
                await running

            stack.push_async_callback(stop)
            await eventually(lambda: server.started)
            return Serving(server, listener.getsockname()[1], stack)

        yield start


async def body_of(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("the client has gone")
        body += bytes(message["body"])
        if not message["more_body"]:
            return body


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Says what was asked: method, path and body"""
    said = f"{scope['method']} {scope['path']} ".encode() + await body_of(receive)
    await respond(send, said)


async def respond(send: Send, body: bytes, status: int = 200, *headers: tuple[bytes, bytes]) -> None:
    lines = [(b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})


async def response(reader: asyncio.StreamReader, *, head_only: bool = False) -> tuple[int, dict[bytes, bytes], bytes]:
    """The next one on this connection, of any framing that has an end"""
    async with asyncio.timeout(30):
        status_line, *lines = (await reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(b": ") for line in lines)}
        if head_only:
            body = b""
        elif b"content-length" in headers:
            body = await reader.readexactly(int(headers[b"content-length"]))
        elif headers.get(b"transfer-encoding") == b"chunked":
            body = b""
            while size := int((await reader.readline()).strip(), 16):
                body += (await reader.readexactly(size + 2))[:-2]
            assert await reader.readline() == b"\r\n"
        else:
            body = await reader.read()
        return int(status_line.split()[1]), headers, body


async def assert_ended(reader: asyncio.StreamReader) -> None:
    async with asyncio.timeout(30):
        assert await reader.read() == b""


# Requests and responses


async def test_pipelined_requests_are_answered_in_order(serve: Serve) -> None:
    serving = await serve(echo)
    reader, writer = await serving.connect()
    posts = [b"POST /%d HTTP/1.1\r\ncontent-length: 2\r\n\r\nab" % n for n in range(20)]
    writer.write(b"\r\n".join([*posts, b"GET /last HTTP/1.1\r\n\r\n"]))
    said = [(await response(reader))[2] for _ in range(21)]
    assert said == [*(b"POST /%d ab" % n for n in range(20)), b"GET /last "]


async def test_a_request_may_be_answered_without_the_app(serve: Serve) -> None:
    taken: list[str] = []

    def take(exchange: Any, run: Any) -> bool:
        taken.append(exchange.scope["path"])
        if exchange.scope["path"] != "/short":
            return False
        assert exchange.respond_whole(b"HTTP/1.1 200 OK\r\n", b"content-length: 5\r\n", b"short")
        return True

    serving = await serve(echo, take=take)
    reader, writer = await serving.connect()
    short = b"GET /short HTTP/1.1\r\n\r\n"
    writer.write(short * 500 + b"GET /long HTTP/1.1\r\n\r\n")  # no recursion, however many
    said = [(await response(reader))[2] for _ in range(501)]
    assert said == [b"short"] * 500 + [b"GET /long "]
    writer.write(b"POST /half HTTP/1.1\r\ncontent-length: 2\r\n\r\na")
    await eventually(lambda: any(each.exchange for each in serving.connections))
    writer.write(b"b")
    assert (await response(reader))[2] == b"POST /half ab"
    assert taken == ["/short"] * 500 + ["/long"], "one that isn't whole goes to the app"


@pytest.mark.parametrize("request_line", [b"GET / HTTP/1.1", b"HEAD / HTTP/1.1", b"GET / HTTP/1.0"])
async def test_a_body_of_unknown_length_is_framed(serve: Serve, request_line: bytes) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for part in (b"one", b"", b"two"):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body"})

    serving = await serve(app)
    reader, writer = await serving.connect()
    writer.write(request_line + b"\r\n\r\n")
    status, headers, body = await response(reader, head_only=request_line.startswith(b"HEAD"))
    assert (status, body) == (200, b"" if request_line.startswith(b"HEAD") else b"onetwo")
    assert (headers.get(b"connection") == b"close") == request_line.endswith(b"1.0")
    assert b"date" in headers


async def test_a_response_without_a_body(serve: Serve) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 304, "headers": [(b"etag", b'"x"')]})
        await send({"type": "http.response.body", "body": b""})

    serving = await serve(app)
    reader, writer = await serving.connect()
    writer.write(GET + GET)
    for _ in range(2):
        status, headers, _ = await response(reader, head_only=True)
        assert (status, headers[b"etag"]) == (304, b'"x"')
        assert b"content-length" not in headers
        assert b"transfer-encoding" not in headers


async def test_who_waits_for_a_word_before_its_body_gets_it(serve: Serve) -> None:
    serving = await serve(echo)
    reader, writer = await serving.connect()
    writer.write(b"POST / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"ab")
    assert (await response(reader))[2] == b"POST / ab"


async def test_a_large_body_is_read_at_the_apps_pace(serve: Serve) -> None:
    go = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await go.wait()
        await respond(send, b"%d" % len(await body_of(receive)))

    serving = await serve(app)
    reader, writer = await serving.connect()
    writer.write(b"POST / HTTP/1.1\r\ncontent-length: 20000000\r\n\r\n" + bytes(20_000_000))
    await eventually(lambda: any(each.exchange and each.exchange.body for each in serving.connections))
    held = [len(each.exchange.body) for each in serving.connections if each.exchange]
    assert max(held) < 1 << 20
    go.set()
    assert (await response(reader))[2] == b"20000000"


async def test_who_ends_its_side_gets_its_response(serve: Serve) -> None:
    go = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await go.wait()
        await respond(send, b"here")

    serving = await serve(app)
    reader, writer = await serving.connect()
    writer.write(GET)
    writer.write_eof()
    await eventually(lambda: any(each.exchange and not each.exchange.keep_alive for each in serving.connections))
    go.set()
    status, _, body = await response(reader)
    assert (status, body) == (200, b"here")
    await assert_ended(reader)


async def test_the_app_hears_that_the_client_has_gone(serve: Serve) -> None:
    heard: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (message := await receive())["type"] != "http.disconnect":
            heard.append(message["body"])
        heard.append("gone")
        await respond(send, b"nobody reads this")

    serving = await serve(app)
    _, writer = await serving.connect()
    writer.write(GET)
    await eventually(lambda: heard == [b""])
    writer.transport.abort()
    await eventually(lambda: heard == [b"", "gone"] and not serving.server.server_state.tasks)


# Apps that fail


async def test_an_app_that_fails_is_a_500_and_a_line_in_the_log(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/raises":
            raise LookupError("no such thing")
        if scope["path"] == "/header":
            await respond(send, b"", 200, (b"x", b"a\r\nset-cookie: b"))

    serving = await serve(app)
    for path in (b"/raises", b"/returns", b"/header"):
        reader, writer = await serving.connect()
        writer.write(b"GET %b HTTP/1.1\r\n\r\n" % path)
        status, headers, body = await response(reader)
        assert (status, headers[b"connection"]) == (500, b"close")
        assert json.loads(body)["error"]["code"] == "internal_error"
        assert b"set-cookie" not in headers
        await assert_ended(reader)
    told = capsys.readouterr().out
    assert "no such thing" in told
    assert "its response is not complete" in told
    assert "must not contain a line end" in told


@pytest.mark.parametrize("length", [b"3", b"30"])
async def test_half_a_response_does_not_look_whole(serve: Serve, length: bytes) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        await send({"type": "http.response.body", "body": b"ab", "more_body": True})
        await send({"type": "http.response.body", "body": b"cd"})

    serving = await serve(app)
    reader, writer = await serving.connect()
    writer.write(GET)
    await reader.readuntil(b"\r\n\r\n")
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        async with asyncio.timeout(30):
            await reader.readexactly(int(length))


# What clients owe


async def test_nothing_that_is_no_request_stops_the_idle_timer(serve: Serve) -> None:
    serving = await serve(echo, keep_alive_s=0.2, head_timeout_s=0.2)
    for stray in (b"\r\n", b"\r\n\r\n", b"G", b"GET / HTTP/1.1\r\n"):
        reader, writer = await serving.connect()
        writer.write(GET)
        await response(reader)
        writer.write(stray)
        await assert_ended(reader)
    await eventually(lambda: not serving.connections)


async def test_the_rest_of_an_answered_body_has_its_time_and_then_the_connection_idles(serve: Serve) -> None:
    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, b"no", 413)

    post = b"POST / HTTP/1.1\r\ncontent-length: 200000\r\n\r\n"
    serving = await serve(refuse, keep_alive_s=60, head_timeout_s=0.2)
    reader, writer = await serving.connect()
    writer.write(post)
    assert (await response(reader))[0] == 413
    writer.write(b"x")
    await assert_ended(reader)
    serving = await serve(refuse, keep_alive_s=0.2, head_timeout_s=60)
    reader, writer = await serving.connect()
    writer.write(post)
    assert (await response(reader))[0] == 413
    writer.write(b"x" * 200_000)
    await assert_ended(reader)  # and no second response
    await eventually(lambda: not serving.connections)


async def test_a_head_too_large_is_told_also_to_who_goes_on_sending(serve: Serve) -> None:
    serving = await serve(echo)
    reader, writer = await serving.connect()
    writer.write(b"GET / HTTP/1.1\r\nx: " + b"y" * 3_000_000)
    status, _, body = await response(reader)
    assert (status, json.loads(body)["error"]["code"]) == (431, "head_too_large")
    await assert_ended(reader)
    writer.close()
    await eventually(lambda: not serving.connections)


async def test_who_takes_nothing_of_its_response_is_cut_off(serve: Serve) -> None:
    ended: list[bool] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await respond(send, bytes(50_000_000))
        finally:
            ended.append(True)

    serving = await serve(app, send_timeout_s=0.3)
    with socket.create_connection(("127.0.0.1", serving.port)) as client:
        client.sendall(GET)
        await eventually(lambda: bool(ended) and not serving.connections)


async def test_who_takes_its_response_slowly_gets_all_of_it(serve: Serve) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, bytes(30_000_000))

    serving = await serve(app, send_timeout_s=0.5, keep_alive_s=0.1)
    reader, writer = await serving.connect()
    writer.write(GET)
    status, _, body = await response(reader)
    assert (status, len(body)) == (200, 30_000_000)


async def test_an_idle_connection_whose_response_nobody_takes_is_closed(serve: Serve) -> None:
    """Less is left than makes the writer wait, so only the idle timer sees it."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, bytes(int(scope["path"][1:])))

    serving = await serve(app, keep_alive_s=0.2, send_timeout_s=0.2)
    with socket.create_connection(("127.0.0.1", serving.port)) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(400):
            client.sendall(b"GET /30000 HTTP/1.1\r\n\r\n")
        await eventually(lambda: not serving.connections)


async def test_what_waits_behind_a_request_is_bounded(serve: Serve) -> None:
    go = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await go.wait()
        await respond(send, b"first")

    serving = await serve(app)
    reader, writer = await serving.connect()
    writer.write(GET * (2 * PIPELINED_BYTES_MAX // len(GET)))
    await eventually(lambda: any(each.exchange and not each.exchange.keep_alive for each in serving.connections))
    go.set()
    _, headers, body = await response(reader)
    assert (headers[b"connection"], body) == (b"close", b"first")


async def test_behind_a_chunked_body_the_connection_ends_with_the_response(serve: Serve) -> None:
    serving = await serve(echo)
    reader, writer = await serving.connect()
    writer.write(b"POST /a HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n" + GET)
    _, headers, body = await response(reader)
    assert (headers[b"connection"], body) == (b"close", b"POST /a a")
    await assert_ended(reader)


# Taking the socket


async def test_a_taken_socket_is_the_apps_alone(serve: Serve) -> None:
    taken: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        fd = await take_socket_of(scope)
        assert fd is not None
        taken.append(fd)

    serving = await serve(app, offers_socket=True)
    reader, writer = await serving.connect()
    writer.write(GET + GET)  # the second one is never read
    await eventually(lambda: len(taken) == 1)
    assert not serving.connections
    with socket.socket(fileno=taken[0]) as ours:
        assert not os.get_blocking(taken[0])
        ours.send(b"hello")
        assert await reader.readexactly(5) == b"hello"
    await assert_ended(reader)
    assert len(taken) == 1


async def test_a_socket_that_is_still_needed_is_not_given(serve: Serve) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert await take_socket_of(scope) is None
        await body_of(receive)
        await respond(send, b"answered")

    for offers in (True, False):  # a body that is on its way; a server that offers none
        serving = await serve(app, offers_socket=offers)
        reader, writer = await serving.connect()
        writer.write(b"POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\na")
        await eventually(lambda serving=serving: any(each.exchange for each in serving.connections))  # type: ignore[misc]
        writer.write(b"b")
        assert (await response(reader))[2] == b"answered"
