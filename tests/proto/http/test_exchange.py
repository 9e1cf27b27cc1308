"""proto/http/exchange.py, through real sockets: each request gets its response, whatever the app does."""

import asyncio
import json
import os
import socket
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from proto.http.exchange import take_socket_of
from tests.proto.http.serving import GET, Serve, assert_ended, body_of, echo, respond, response
from tests.waiting import eventually

# Requests and responses


async def test_pipelined_requests_are_answered_in_order(serve: Serve) -> None:
    serving = await serve(echo)
    reader, writer = await serving.connect()
    posts = [b"POST /%d HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nab" % n for n in range(20)]
    writer.write(b"\r\n".join([*posts, b"GET /last HTTP/1.1\r\nhost: x\r\n\r\n"]))
    said = [(await response(reader))[2] for _ in range(21)]
    assert said == [*(b"POST /%d ab" % n for n in range(20)), b"GET /last "]


async def test_a_request_may_be_answered_without_the_app(serve: Serve) -> None:
    taken: list[str] = []

    def shortcut(exchange: Any, run: Any) -> bool:
        taken.append(exchange.scope["path"])
        if exchange.scope["path"] != "/short":
            return False
        assert exchange.respond_whole(b"HTTP/1.1 200 OK\r\n", b"content-length: 5\r\n", b"short")
        return True

    serving = await serve(echo, shortcut=shortcut)
    reader, writer = await serving.connect()
    short = b"GET /short HTTP/1.1\r\nhost: x\r\n\r\n"
    writer.write(short * 500 + b"GET /long HTTP/1.1\r\nhost: x\r\n\r\n")  # no recursion, however many
    said = [(await response(reader))[2] for _ in range(501)]
    assert said == [b"short"] * 500 + [b"GET /long "]
    writer.write(b"POST /half HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\na")
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
    writer.write(request_line + b"\r\nhost: x\r\n\r\n")
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
    writer.write(b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
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
    writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 20000000\r\n\r\n" + bytes(20_000_000))
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
        writer.write(b"GET %b HTTP/1.1\r\nhost: x\r\n\r\n" % path)
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


# Taking the socket


async def test_a_taken_socket_is_the_apps_alone(serve: Serve) -> None:
    taken: list[int] = []
    kept: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        fd = await take_socket_of(scope)
        assert fd is not None
        kept.append(len(serving.connections))
        taken.append(fd)

    serving = await serve(app, offers_socket=True)
    reader, writer = await serving.connect()
    writer.write(GET + GET)  # the second one is never read
    await eventually(lambda: len(taken) == 1)
    assert kept == [0], "the event loop had let go of the socket before the app got it"
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
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\na")
        await eventually(lambda serving=serving: any(each.exchange for each in serving.connections))  # type: ignore[misc]
        writer.write(b"b")
        assert (await response(reader))[2] == b"answered"


# What clients and apps may do at the worst moment


async def test_what_others_cancel_is_a_500_and_no_silence(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise asyncio.CancelledError  # as a closed gRPC channel does

    serving = await serve(app)
    reader, writer = await serving.connect()
    writer.write(GET)
    assert (await response(reader))[0] == 500
    await assert_ended(reader)
    assert "request failed" in capsys.readouterr().out


@pytest.mark.parametrize("body", [None, b"longer than promised"])
async def test_a_failure_behind_a_promised_length_is_a_500(serve: Serve, body: bytes | None) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        if body is not None:
            await send({"type": "http.response.body", "body": body})

    serving = await serve(app)
    reader, writer = await serving.connect()
    writer.write(GET)
    status, _, said = await response(reader)
    assert (status, json.loads(said)["error"]["code"]) == (500, "internal_error")
    await assert_ended(reader)


async def test_who_was_not_told_to_send_its_body_gets_no_second_response(serve: Serve) -> None:
    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, b"no", 413)

    serving = await serve(refuse)
    reader, writer = await serving.connect()
    writer.write(b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 100\r\n\r\n")
    status, headers, _ = await response(reader)
    assert (status, headers[b"connection"]) == (413, b"close")
    await assert_ended(reader)
    writer.close()
