"""uvicorn's HTTP connection with the bounds that it leaves to a proxy in front, and a short way for most requests.

**Bounds.** uvicorn (0.54) waits for ever for the first request of a connection, and takes a head of any size. Here a
head must be complete within a time and a size, so that connections which never ask anything can't use up the files that
the process may open. A body has its own bounds, in request_parts.py.

**The short way.** uvicorn makes a task for a request when its head is there. Most requests arrive whole, in one read:
they are offered to `take` first, which may answer without a task.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from proto.http.responses import error_response

Run = Callable[[ASGIApp], None]
"""Has an app answer the request, in a task of its own, as uvicorn does with the service's app"""

Take = Callable[[RequestResponseCycle, Run], bool]
"""Takes a request that has arrived whole, and sees to its answer, now or later. False: it isn't for this way, and
nothing was done. Must not raise."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What config.py says about connections; its descriptions give the reasons."""

    head_timeout_ms: int
    head_bytes_max: int
    connections_max: int


def write_whole(cycle: RequestResponseCycle, status_line: bytes, lines: bytes, body: bytes) -> bool:
    """Writes an answer at once, and leaves the cycle as its own `send` does. lines: headers, right as they are.

    False: nothing was written, for the request's connection ends with the answer, its client doesn't read, or it asked
    for the head only. Then `send` does it.
    """
    if not cycle.keep_alive or cycle.flow.write_paused or cycle.response_started or cycle.scope["method"] == "HEAD":
        return False
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    if not cycle.disconnected:
        usual = b"".join([b"%b: %b\r\n" % header for header in cycle.default_headers])  # Date, each second another one
        cycle.transport.write(b"".join((status_line, usual, lines, b"\r\n", body)))
        cycle.message_event.set()
        cycle.on_response()
    cycle.on_response = _nothing  # it leads to the protocol, and that to the cycle: nobody should have to collect them
    return True


def _nothing() -> None:
    """The answer is told."""


async def overloaded(scope: Scope, receive: Receive, send: Send) -> None:
    """The app of a connection over the limit: one answer, and the connection ends."""
    headers = {"retry-after": "2", "connection": "close"}
    answer = error_response(503, "too_many_connections", "this server has as many connections as it can hold", headers)
    await answer(scope, receive, send)


class HttpProtocol(HttpToolsProtocol):
    """`limits` and `take` are set by `http_protocol`: uvicorn makes the instances, and passes nothing of ours."""

    limits: ConnectionLimits
    take: Take
    _held: tuple[RequestResponseCycle, ASGIApp] | None = None  # its head is complete, and its task is not made
    _holds = False
    _head_deadline: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _head_is_due = False
    _in_body = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections_max:
            self.app = overloaded
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_complete()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._head_deadline is None and (self.cycle is None or self.cycle.response_complete):
            # A next head, or what is left of a body that was answered before it was whole: both must end soon.
            self._head_bytes = 0
            self._head_is_due = True
        super().data_received(data)
        if self._held is not None:  # the rest of its body comes later: somebody has to wait for it
            self._begin_held()
        if self._head_is_due and self._head_deadline is None:
            self._await_head()  # only now: most heads come whole, and need no timer
        if self._head_deadline is not None:
            self._head_bytes += len(data)
            if self._head_bytes > self.limits.head_bytes_max and not self._in_body:
                self._refuse(431, "head_too_large", f"the head is larger than {self.limits.head_bytes_max} bytes")

    def on_headers_complete(self) -> None:
        self._head_is_complete()
        self._unset_keepalive_if_required()  # set by a request of the same read that has its answer already
        self._in_body = self._holds = True
        super().on_headers_complete()
        self._holds = False

    def on_message_complete(self) -> None:
        self._in_body = False
        super().on_message_complete()
        if self._held is not None:
            self._begin_held()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGIApp) -> None:  # type: ignore[override]
        if self._holds and app is not overloaded:
            self._held = cycle, app
        else:
            super()._start_asgi_task(cycle, app)  # type: ignore[arg-type]

    def _begin_held(self) -> None:
        assert self._held is not None
        cycle, app = self._held
        self._held = None
        if self.transport.is_closing():  # what came behind the head was no HTTP
            return
        run: Run = partial(self._start_asgi_task, cycle)
        if cycle.more_body or not self.take(cycle, run):
            run(app)

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, "malformed_request", "this is not HTTP/1.1 as RFC 9112 has it")

    def _await_head(self) -> None:
        self._head_deadline = self.loop.call_later(self.limits.head_timeout_ms / 1000, self.transport.close)

    def _head_is_complete(self) -> None:
        self._head_is_due = False
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None

    def _refuse(self, status: int, code: str, message: str) -> None:
        """Answers what never becomes a request, and closes."""
        if self.transport.is_closing():
            return
        answer = error_response(status, code, message, {"connection": "close"})
        lines = [b"HTTP/1.1 %d \r\n" % status, *(b"%b: %b\r\n" % header for header in answer.raw_headers), b"\r\n"]
        self.transport.write(b"".join(lines) + bytes(answer.body))
        self.transport.close()


def http_protocol(limits: ConnectionLimits, take: Take) -> type[HttpProtocol]:
    """The class for `uvicorn.Config(http=...)`"""
    return type("OurHttpProtocol", (HttpProtocol,), {"limits": limits, "take": staticmethod(take)})
