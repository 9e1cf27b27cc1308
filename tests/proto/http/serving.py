"""A server with an app of the test's own, and a client that reads responses of any framing"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from starlette.types import Receive, Scope, Send

from proto.http.server import HttpServer
from proto.http_settings import ConnectionLimits

LIMITS = ConnectionLimits(
    head_timeout_s=60,
    head_bytes_max=4096,
    headers_max=50,
    keep_alive_s=60,
    send_timeout_s=60,
    connections_max=100,
    hsts_s=60,
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
