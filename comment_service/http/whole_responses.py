"""Writes responses whose heads are known beforehand in one piece, past ASGI.

Through ASGI a response is two messages, its headers are checked one by one, and CORS is decided anew for each request.
If the heads hardly differ, that costs more than finding the response. Here the same bytes are written at once. Where
that isn't possible (`Exchange.respond_whole` says when), the response goes through ASGI.
"""

from collections.abc import Sequence
from functools import partial
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from proto.http.connection import Run
from proto.http.cors import Cors
from proto.http.exchange import Exchange

ORIGINS_MAX = 256
"""Origins whose CORS headers are remembered. Browsers send few, that of their page; strangers can send any."""

RawHeaders = Sequence[tuple[bytes, bytes]]


class Head:
    """A status and headers, without the body's length and what CORS adds"""

    __slots__ = ("headers", "lines", "status", "status_line")

    def __init__(self, status: int, headers: RawHeaders) -> None:
        self.status = status
        self.headers = headers
        self.status_line = b"HTTP/1.1 %d %b\r\n" % (status, HTTPStatus(status).phrase.encode())
        self.lines = b"".join(b"%b: %b\r\n" % header for header in headers)


class WholeResponses:
    """Belongs to one event loop."""

    def __init__(self, cors: Cors) -> None:
        """cors: makes the headers for an origin, once."""
        self._cors = cors
        self._origins: dict[bytes | None, Head] = {}

    def give(self, exchange: Exchange, run: Run, origin: bytes | None, head: Head, body: bytes) -> None:
        """Responds to a request without a task. origin: the request's header."""
        if not self._write(exchange, origin, head, body):
            run(partial(self._send, origin, head, body))

    def _write(self, exchange: Exchange, origin: bytes | None, head: Head, body: bytes) -> bool:
        if (added := self._origins.get(origin)) is None:
            return False
        return exchange.respond_whole(head.status_line, _length(head, body) + head.lines + added.lines, body)

    async def _send(
        self, origin: bytes | None, head: Head, body: bytes, _scope: Scope, _receive: Receive, send: Send
    ) -> None:
        """An ASGI app, with the first three arguments bound"""
        added = self._origins.get(origin) or await self._head_for(origin)
        headers = [*head.headers, *added.headers]
        if head.status != HTTPStatus.NOT_MODIFIED:
            headers.insert(0, (b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": head.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _head_for(self, origin: bytes | None) -> Head:
        """The headers that CORS adds for this origin"""
        added: list[tuple[bytes, bytes]] = []

        async def keep(message: Message) -> None:
            added.extend(message["headers"])

        asked = Headers(raw=[] if origin is None else [(b"origin", origin)])
        await self._cors.send({"type": "http.response.start", "headers": []}, keep, asked)
        if len(self._origins) >= ORIGINS_MAX:
            self._origins.clear()
        head = self._origins[origin] = Head(HTTPStatus.OK, added)
        return head


def _length(head: Head, body: bytes) -> bytes:
    return b"" if head.status == HTTPStatus.NOT_MODIFIED else b"content-length: %d\r\n" % len(body)
