"""proto/http/connection.py, through real sockets: whatever a client does or leaves out, its connection has an end."""

import asyncio
import json
import socket

import pytest
from starlette.types import Receive, Scope, Send

from proto.http_settings import DISCARDED_BYTES_MAX, PIPELINED_BYTES_MAX
from tests.proto.http.serving import GET, Serve, assert_ended, echo, respond, response
from tests.waiting import eventually


async def test_nothing_that_is_no_request_stops_the_idle_timer(serve: Serve) -> None:
    serving = await serve(echo, keep_alive_s=0.2, head_timeout_s=0.2)
    for stray in (b"\r\n", b"\r\n\r\n", b"G", b"GET / HTTP/1.1\r\nhost: x\r\n"):
        reader, writer = await serving.connect()
        writer.write(GET)
        await response(reader)
        writer.write(stray)
        await assert_ended(reader)
    await eventually(lambda: not serving.connections)


async def test_the_rest_of_an_answered_body_has_its_time_and_then_the_connection_idles(serve: Serve) -> None:
    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, b"no", 413)

    post = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 200000\r\n\r\n"
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
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 500_000)
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
            client.sendall(b"GET /30000 HTTP/1.1\r\nhost: x\r\n\r\n")
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
    writer.write(b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n" + GET)
    _, headers, body = await response(reader)
    assert (headers[b"connection"], body) == (b"close", b"POST /a a")
    await assert_ended(reader)


@pytest.mark.parametrize(
    "head", [b"GET / HTTP/1.1\r\nhost: x\r\nx: ", b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 999999999\r\n\r\n"]
)
async def test_who_goes_on_sending_what_was_refused_is_cut_off(serve: Serve, head: bytes) -> None:
    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, b"no", 413)

    serving = await serve(refuse)
    _, writer = await serving.connect()
    writer.write(head)

    async def send_on() -> None:
        for _ in range(1_000):
            writer.write(bytes(b"y" * (DISCARDED_BYTES_MAX // 8)))
            await writer.drain()

    with pytest.raises(ConnectionError):
        await send_on()
    await eventually(lambda: not serving.connections)
