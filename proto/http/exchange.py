"""One request and its response, between a connection and the app that answers it.

An ASGI app (asgi.readthedocs.io, HTTP 2.3) answers with `receive` and `send`, in a task. A response that is known at
once goes out in one write, without a task: `respond_whole`. A server of streams takes the socket: `take_socket`.
"""

import asyncio
import os
import re
from collections.abc import Iterable
from enum import Enum, auto
from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog
from starlette.types import ASGIApp, Message, Scope

from proto.http.responses import error_response
from proto.tasks import shared

if TYPE_CHECKING:
    from proto.http.connection import Connection

log = structlog.stdlib.get_logger()

STATUS_LINES = {status.value: b"HTTP/1.1 %d %b\r\n" % (status, status.phrase.encode()) for status in HTTPStatus}

WITHOUT_BODY = frozenset((HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED))
"""Responses that have no body and need no length (RFC 9110, 15.3.5 and 15.4.5)"""

TAKE_SOCKET = "livecomments.take_socket"
"""In a scope's extensions: `Exchange.take_socket`"""


async def take_socket_of(scope: Scope) -> int | None:
    """As `Exchange.take_socket`, for an app. None also if its server offers no socket: then it answers with `send`."""
    take = (scope.get("extensions") or {}).get(TAKE_SOCKET)
    return await take() if take else None


_NEVER_IN_A_HEADER = re.compile(rb"[\x00\r\n]")


class Sent(Enum):
    """How much of the response has been written"""

    NOTHING = auto()
    HEAD = auto()
    ALL = auto()


class Exchange:
    """Made by a connection for each request. It knows its connection until the response is complete or the client has
    gone; so neither keeps the other in memory."""

    more_body = True
    """whether more of the request's body is to come"""
    sent = Sent.NOTHING
    _body_given = False  # all of it, by `receive`
    _client_ended = False  # its side of the connection
    _woken: asyncio.Event | None = None  # while `receive` waits
    _head = b""  # of the response, until it goes out together with the first part of the body
    _length_left: int | None = None  # of the response's body, as its head says
    _chunked = False
    _skips_body = False
    _socket_taken = False

    def __init__(self, connection: "Connection", scope: Scope, keep_alive: bool, awaits_continue: bool) -> None:
        """awaits_continue: the client sends the body only after a 100 (Continue)."""
        self.connection: Connection | None = connection
        self.scope = scope
        self.keep_alive = keep_alive
        """whether another request may follow on this connection"""
        self.awaits_continue = awaits_continue
        self.body = bytearray()
        """of the request: what has arrived and `receive` has not given out"""
        if scope["method"] == "HEAD":
            self._skips_body = True

    # For the connection

    def body_arrived(self, data: bytes) -> None:
        self.body += data
        self._wake()

    def body_ended(self) -> None:
        self.more_body = False
        self._wake()

    def client_ended(self) -> None:
        """The client sends nothing more. Most have gone then, so `receive` says that; but a response still goes out,
        since the client may only have ended its own side."""
        self.keep_alive, self._client_ended = False, True
        self._wake()

    def disconnect(self) -> None:
        """The client has gone: `receive` says so, and what is sent from now on is dropped."""
        self.connection = None
        self._wake()

    # For whoever answers

    def respond_whole(self, status_line: bytes, lines: bytes, body: bytes) -> bool:
        """Writes a response at once. lines: header lines, complete and valid, with the body's length.

        False: nothing was written, because the connection ends with this response, the client reads too slowly, or it
        asked for the head only. Then `send` must do it.
        """
        connection = self.connection
        if not self.keep_alive or self.sent is not Sent.NOTHING or self._skips_body:
            return False
        if connection is not None:
            if connection.write_paused:
                return False
            connection.write(
                b"".join((status_line, connection.usual_lines(self.scope["scheme"]), lines, b"\r\n", body))
            )
        self._complete()
        return True

    def begin(self, tasks: set[asyncio.Task[None]], app: ASGIApp) -> None:
        """Has the app answer in a task, which is among `tasks` until it ends: uvicorn's server waits for those."""
        task = shared(self.run(app))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def run(self, app: ASGIApp) -> None:
        """Has the app answer. Never raises: a failure is logged, and the client gets a 500; one that has half a
        response already sees the connection break, since that must not look whole."""
        try:
            await app(self.scope, self.receive, self.send)
            if self.connection is not None and not (self._socket_taken or self._client_ended):
                raise RuntimeError("the app has returned and its response is not complete")
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            await self._fail(error)  # what the app waited for was cancelled by others
        except Exception as error:
            await self._fail(error)
        finally:
            if self.connection is not None and not self._socket_taken:
                self.connection.abort()
            self.scope.pop("extensions", None)  # they lead to this exchange, and it leads to the scope

    async def _fail(self, error: BaseException) -> None:
        """A client with half a response sees the connection break, in `run`."""
        log.error("request failed", method=self.scope["method"], path=self.scope["path"][:200], exc_info=error)
        if self.sent is Sent.NOTHING:
            self._head, self._length_left, self._chunked, self.keep_alive = b"", None, False, False
            self._skips_body = self.scope["method"] == "HEAD"
            response = error_response(500, "internal_error", "this is our fault; it has been logged")
            await response(self.scope, self.receive, self.send)

    async def receive(self) -> Message:
        """ASGI's `receive`: the body in parts, then `http.disconnect` once the client has gone or has its response"""
        if self.awaits_continue and self.connection is not None and self.sent is Sent.NOTHING:
            self.awaits_continue = False
            self.connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        while (connection := self.connection) is not None:
            if not self._body_given and (self.body or not self.more_body):
                body, self.body = bytes(self.body), bytearray()
                self._body_given = not self.more_body
                return {"type": "http.request", "body": body, "more_body": self.more_body}
            if self._client_ended:
                break
            connection.read_on()
            self._woken = asyncio.Event()
            await self._woken.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """ASGI's `send`. Waits while the client reads too slowly; does nothing when it has gone."""
        connection = self.connection
        if connection is None:
            return
        if message["type"] == "http.response.start":
            if self.sent is not Sent.NOTHING or self._head:
                raise RuntimeError("a response begins twice")
            self._head = self._response_head(connection, message["status"], message.get("headers", ()))
            if self._chunked or self._length_left is None:  # its body may take its time, and the head shouldn't wait
                self._write(connection, b"")
        elif message["type"] == "http.response.body":
            data, more = message.get("body", b""), message.get("more_body", False)
            self._write(connection, self._framed(data, more))
            if not more:
                if self._length_left:
                    raise RuntimeError(f"the response's body is {self._length_left} bytes shorter than its head says")
                self._complete()
        else:
            raise RuntimeError(f"unknown ASGI message {message['type']!r}")
        await connection.wait_writable()

    async def take_socket(self) -> int | None:
        """The number of the connection's socket: non-blocking, registered nowhere, nothing written to it yet. The
        caller answers on it and closes it; whatever was pipelined behind this request is never read.

        None: it can't be had, because it is encrypted or closing, or more is to come or to go through this connection.
        """
        connection = self.connection
        if connection is None or self.sent is not Sent.NOTHING or self.more_body:
            return None
        fd = connection.detach()
        if fd is None:
            return None
        self._socket_taken = True
        try:
            await connection.lost.wait()  # only then is the socket out of the event loop's epoll set
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _wake(self) -> None:
        if self._woken is not None:
            self._woken.set()

    def _response_head(self, connection: "Connection", status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        """Raises ValueError for a header that would end its line."""
        lines = [STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status]
        says_close = has_policy = False
        for name, value in headers:
            if _NEVER_IN_A_HEADER.search(name + value):
                raise ValueError(f"a response header must not contain a line end: {name!r}: {value[:80]!r}")
            match name.lower():
                case b"content-length":
                    self._length_left = int(value)
                case b"connection" if value.lower() == b"close":
                    self.keep_alive, says_close = False, True
                case b"content-security-policy":
                    has_policy = True
                case b"transfer-encoding":
                    continue  # how the body is framed is decided here
            lines.append(b"%b: %b\r\n" % (name, value))
        if self._skips_body or status in WITHOUT_BODY:
            self._skips_body, self._length_left = True, 0
        elif self._length_left is None:
            if self.scope["http_version"] == "1.1":
                self._chunked = True
                lines.append(b"transfer-encoding: chunked\r\n")
            else:
                self.keep_alive = False  # the end of the connection is the end of the body
        if self.awaits_continue and self.more_body:
            self.keep_alive = False  # nobody knows whether the client will send the body or its next request
        if not self.keep_alive and not says_close:
            lines.append(b"connection: close\r\n")
        lines.insert(1, connection.usual_lines(self.scope["scheme"], has_policy=has_policy))
        lines.append(b"\r\n")
        return b"".join(lines)

    def _framed(self, data: bytes, more: bool) -> bytes:
        if self.sent is Sent.NOTHING and not self._head:
            raise RuntimeError("a response's body comes before its head")
        if self._skips_body:
            return b""
        if self._chunked:
            chunk = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
            return chunk if more else chunk + b"0\r\n\r\n"
        if self._length_left is not None:
            self._length_left -= len(data)
            if self._length_left < 0:
                raise RuntimeError("the response's body is longer than its head says")
        return data

    def _write(self, connection: "Connection", data: bytes) -> None:
        head, self._head = self._head, b""
        self.sent = Sent.HEAD
        if head or data:
            connection.write(head + data)

    def _complete(self) -> None:
        self.sent = Sent.ALL
        connection, self.connection = self.connection, None
        self._wake()
        if connection is not None:
            connection.exchange_complete(self)
