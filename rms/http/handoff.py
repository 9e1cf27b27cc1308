"""Takes a viewer's socket out of uvicorn once the handshake is done. Built on uvicorn 0.54's httptools protocol.

After the response head there is nothing left that a framework could do for an event stream, and what it costs to have
one (a task, a transport, buffers: 27 KB and 40 us a comment for each viewer) is what limits such servers. So:
1. the number of the socket is duplicated: the duplicate is ours;
2. the transport is aborted: it removes its own number from its epoll set and closes it. No FIN is sent, as the socket
   lives on in our duplicate;
3. we wait until uvicorn has noticed (`http.disconnect`); only then may anything be written. Without the wait it would
   complain that the application had ended without a response, once for each viewer.
A request that was pipelined behind is never read: the response before it has no end.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_EXTENSION = "livecomments.take_over"


class HandoffProtocol(HttpToolsProtocol):
    """Offers the take-over in the scope's extensions, and closes connections whose request head doesn't come."""

    head_timeout_s = 10.0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._start_head_timer()
        self.scope["extensions"] = {_EXTENSION: {"take": self._take}}

    def on_headers_complete(self) -> None:
        self._stop_head_timer()
        super().on_headers_complete()

    def _start_head_timer(self) -> None:
        self._stop_head_timer()
        self._head_timer = self.loop.call_later(self.head_timeout_s, self.transport.abort)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _take(self) -> int | None:
        """The socket's new number; None if it can't be had: encrypted, closing, or with an answer still to be sent."""
        transport = self.transport
        if transport.is_closing() or self.scheme == "https" or transport.get_write_buffer_size():
            return None
        try:
            fd: int = os.dup(transport.get_extra_info("socket").fileno())
        except OSError:
            return None
        transport.pause_reading()
        transport.abort()
        return fd


def handoff_protocol(head_timeout_s: float) -> type[HandoffProtocol]:
    """For uvicorn's `http` setting"""
    return type("HandoffProtocol", (HandoffProtocol,), {"head_timeout_s": head_timeout_s})


async def take_over(request: Request) -> int | None:
    """The viewer's socket: non-blocking, registered nowhere, nothing written to it yet; the caller closes it.

    None if the server offers no take-over (another ASGI server, or TLS): answer with a streamed response instead.
    """
    extension: dict[str, Any] = (request.scope.get("extensions") or {}).get(_EXTENSION, {})
    take: Callable[[], int | None] | None = extension.get("take")
    fd: int | None = take() if take else None
    if fd is None:
        return None
    try:
        while (await request.receive())["type"] != "http.disconnect":
            pass
    except BaseException:
        os.close(fd)
        raise
    return fd
