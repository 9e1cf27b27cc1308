"""A client's HTTP/1.1 connection: one request at a time, a limit on everything, and one timer for whatever is due.

The next request is read when the one before has its response. So pipelined requests are answered in order, and a stream
that takes the socket leaves nothing half read behind.

What the client owes, and until when (`Phase`):

| phase | what is waited for | limit | then |
|---|---|---|---|
| IDLE | a first byte | `head_timeout_s` before the first request, `keep_alive_s` after a response | closed |
| HEAD | the rest of a head | `head_timeout_s`, `head_bytes_max`, `headers_max` | closed; 431 |
| BODY | the rest of a body | the app's own, which reads it | |
| ANSWERING | our response | the app's own | |
| SKIPPING | the rest of a body that has its response already | `head_timeout_s`, `DISCARDED_BYTES_MAX` | closed |
| LINGERING | the client's end, after a last response | `LINGER_S`, `DISCARDED_BYTES_MAX` | closed |

In every phase a client must go on taking what was written: if it takes nothing for `send_timeout_s` while we wait for
it, the connection is cut.
"""

import asyncio
import math
import os
from collections.abc import Callable
from enum import Enum, auto
from functools import partial
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from proto.http.browser_headers import UsualLines
from proto.http.come_again import ComeAgain
from proto.http.exchange import STATUS_LINES, TAKE_SOCKET, Exchange, Sent
from proto.http.guard import Guard
from proto.http.peer import Adopted, BadPreface, LimitOf, Peer
from proto.http.requests import BadRequest, RequestReader
from proto.http.responses import error_response, overloaded
from proto.http_settings import BODY_BYTES_HELD, DISCARDED_BYTES_MAX, LINGER_S, PIPELINED_BYTES_MAX, ConnectionLimits

_OVERLOADED = ComeAgain(overloaded)

Run = Callable[[ASGIApp], None]
"""Has an app answer the request, in a task of its own"""

Shortcut = Callable[[Exchange, Run], bool]
"""Answers a request that has arrived whole, at once or later, without the app. False: it is for the app, and nothing
was done. Must not raise."""


class Phase(Enum):
    """What the connection waits for; the table above says until when."""

    IDLE = auto()
    HEAD = auto()
    BODY = auto()
    ANSWERING = auto()
    SKIPPING = auto()
    LINGERING = auto()
    CLOSED = auto()


class Connection(asyncio.Protocol):
    """Made by uvicorn's server, which accepts connections and ends them: `server_state` is what both know."""

    def __init__(
        self,
        limits: ConnectionLimits,
        guard: Guard,
        limit_of: LimitOf,
        shortcut: Shortcut | None,
        usual_lines: UsualLines,
        *,
        offers_socket: bool,
        adopted: Adopted | None = None,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """shortcut: asked before the app. offers_socket: an app may take it (`Exchange`). adopted: see Peer."""
        self.exchange: Exchange | None = None
        """the request that is being read or answered"""
        self.write_paused = False
        self.lost = asyncio.Event()
        """the event loop has let go of the socket"""
        self._limits = limits
        self._peer_of = partial(Peer, guard, limit_of, adopted=adopted)
        self._shortcut = shortcut
        self._usual_lines = usual_lines
        self._offers_socket = offers_socket
        if not config.loaded:
            config.load()
        self._app: ASGIApp = config.loaded_app
        self._state = server_state
        self._loop = _loop or asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._phase = Phase.IDLE
        self._timer: asyncio.TimerHandle | None = None
        self._rings_s = math.inf  # when it rings
        self._due_s = math.inf  # when what the phase waits for is overdue, by the loop's clock
        self._send_due_s = math.inf  # when the client must have taken something more of what was written
        self._unsent = 0  # bytes that it had not taken when that was set
        self._writable = asyncio.Event()
        self._requests = RequestReader(limits.head_bytes_max, limits.headers_max)
        self._rest = b""  # requests that wait for the one before
        self._peer: Peer
        self._reading = False  # `_read` is at work further up the stack
        self._discarded = 0  # bytes, in the phases SKIPPING and LINGERING

    # Called by the event loop

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._peer = self._peer_of(transport)
        self._state.connections.add(self)  # type: ignore[arg-type]  # uvicorn names its own classes
        if len(self._state.connections) > self._limits.connections_max:
            self._app, self._shortcut = _OVERLOADED, None
        self._refuse_too_many()
        self._enter(Phase.IDLE, self._limits.head_timeout_s)

    def data_received(self, data: bytes) -> None:
        if self._peer.awaits_preface and not (data := self._read_preface(data)):
            return
        if self._phase is Phase.ANSWERING:
            self._hold(data)
        else:
            if self._phase is Phase.SKIPPING or self._phase is Phase.LINGERING:
                self._discarded += len(data)
                if self._discarded > DISCARDED_BYTES_MAX:
                    self.abort()
                    return
            self._read(data)

    def eof_received(self) -> bool:
        """True: the connection stays open for a response that is on its way."""
        if self.exchange is None or self.exchange.more_body:
            return False
        self.exchange.client_ended()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._state.connections.discard(self)
        self._peer.close()
        self._phase = Phase.CLOSED
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.disconnect()
        self._rest = b""
        self._writable.set()
        self.lost.set()
        self._requests.close()

    def pause_writing(self) -> None:
        self.write_paused = True
        self._writable.clear()
        self._expect_progress()

    def resume_writing(self) -> None:
        self.write_paused = False
        self._send_due_s = math.inf
        self._writable.set()

    def shutdown(self) -> None:
        """Called by uvicorn's server when it ends: the connection ends with the response that is under way."""
        if self.exchange is None:
            self._transport.close()
        else:
            self.exchange.keep_alive = False

    # Called by the exchange

    def usual_lines(self, scheme: str = "", *, has_policy: bool = False) -> bytes:
        """See UsualLines. scheme: by which the client called, as far as that is known"""
        return self._usual_lines.of(self._state.default_headers, is_secure=scheme == "https", has_policy=has_policy)

    def write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    async def wait_writable(self) -> None:
        """Returns when the client has taken enough of what was written, or has gone."""
        if self.write_paused:
            await self._writable.wait()

    def read_on(self) -> None:
        """The app waits for more of the body, or for the client's end."""
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def exchange_complete(self, exchange: Exchange) -> None:
        """The response is written. What has come behind the request is read now."""
        self.exchange = None
        self._state.total_requests += 1
        if self._transport.is_closing():
            return
        if not exchange.keep_alive:
            self._end(still_sending=exchange.more_body)
            return
        if exchange.more_body:
            self._discarded = 0
            self._enter(Phase.SKIPPING, self._limits.head_timeout_s)
        else:
            self._enter(Phase.IDLE, self._limits.keep_alive_s)
        if not self._reading:
            self._transport.resume_reading()
            rest, self._rest = self._rest, b""
            self._read(rest)

    def detach(self) -> int | None:
        """A new number for the socket, which stays open when this connection ends, as it does now; `lost` tells when.
        None: the socket can't be had."""
        transport = self._transport
        if transport.is_closing() or transport.get_extra_info("sslcontext") or transport.get_write_buffer_size():
            return None
        try:
            fd: int = os.dup(transport.get_extra_info("socket").fileno())
        except OSError:
            return None
        self._phase = Phase.CLOSED
        self.abort()  # closes its own number of the socket; no FIN is sent, as the other number is open
        return fd

    def abort(self) -> None:
        self._transport.abort()

    # Reading

    def _read_preface(self, data: bytes) -> bytes:
        """Returns what isn't the proxy's."""
        try:
            data = self._peer.requests_of(data)
        except BadPreface:
            self._close()
            return b""
        self._refuse_too_many()
        return data

    def _refuse_too_many(self) -> None:
        if self._peer.refusal is not None:
            self._app, self._shortcut = self._peer.refusal.tell, None

    def _read(self, data: bytes) -> None:
        """Takes requests out of what has arrived, until one has to be answered first."""
        self._reading = True
        try:
            while data:
                phase = self._phase
                if phase is Phase.IDLE or phase is Phase.HEAD:
                    data = self._read_request(data)
                elif phase is Phase.BODY or phase is Phase.SKIPPING:
                    data = self._read_body(data)
                else:
                    if phase is Phase.ANSWERING:
                        self._hold(data)
                    break
        except BadRequest as bad:
            self._refuse(bad)
        finally:
            self._reading = False

    def _hold(self, data: bytes) -> None:
        self._rest += data
        self._transport.pause_reading()
        if len(self._rest) > PIPELINED_BYTES_MAX and self.exchange is not None:
            self._rest, self.exchange.keep_alive = b"", False

    def _read_request(self, data: bytes) -> bytes:
        """Returns what stands behind the request. Raises BadRequest."""
        head, body, complete, rest = self._requests.read(data)
        if head is None:
            if self._phase is Phase.IDLE:
                self._enter(Phase.HEAD, self._limits.head_timeout_s)
            return rest
        scope, over = self._peer.scope_of(head, self._loop.time())
        goes_on = head.keep_alive and not self._peer.refusal
        self.exchange = exchange = Exchange(self, scope, goes_on, head.expects_continue)
        if self._offers_socket:
            scope["extensions"] = {TAKE_SOCKET: exchange.take_socket}
        if body:
            exchange.body += body
        run: Run = partial(exchange.begin, self._state.tasks)
        if complete:
            self._enter_answering(exchange)
            if over is None and self._shortcut is not None and self._shortcut(exchange, run):
                return rest
        else:
            self._enter(Phase.BODY, math.inf)
        run(self._app if over is None else over.tell)
        return rest

    def _read_body(self, data: bytes) -> bytes:
        """Returns what stands behind the body. Raises BadRequest."""
        body, complete, rest = self._requests.read_body(data)
        self._peer.body_came(len(data) - len(rest), self._loop.time())
        exchange = self.exchange
        if exchange is not None:
            exchange.body_arrived(body)
            if complete:
                self._enter_answering(exchange)
            elif len(exchange.body) > BODY_BYTES_HELD:
                self._transport.pause_reading()
        elif complete:  # it was answered before
            if self._requests.overrun:
                self._end(still_sending=True)
            else:
                self._enter(Phase.IDLE, self._limits.keep_alive_s)
        return rest

    def _enter_answering(self, exchange: Exchange) -> None:
        """The request is complete."""
        if self._requests.overrun:
            exchange.keep_alive = False
        self._enter(Phase.ANSWERING, math.inf)
        exchange.body_ended()

    # Ending

    def _refuse(self, bad: BadRequest) -> None:
        """Answers what never becomes a whole request, and ends the connection."""
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.disconnect()
        if exchange is not None and exchange.sent is not Sent.NOTHING:
            self.abort()
            return
        if self._phase is Phase.SKIPPING:  # it has its response, and this is the rest of its request
            self._end(still_sending=True)
            return
        response = error_response(bad.status, bad.code, bad.message, {"connection": "close"})
        lines = (b"%b: %b\r\n" % header for header in response.raw_headers)
        self.write(b"".join((STATUS_LINES[bad.status], self.usual_lines(), *lines, b"\r\n", bytes(response.body))))
        self._end(still_sending=True)

    def _end(self, *, still_sending: bool) -> None:
        """Ends the connection once all is written."""
        self._rest = b""
        if not still_sending or not self._transport.can_write_eof():
            self._close()
            return
        self._transport.write_eof()
        self._transport.resume_reading()
        self._discarded = 0
        self._enter(Phase.LINGERING, LINGER_S)

    def _close(self) -> None:
        """Closes it once the client has taken what was written; one that takes nothing is cut off."""
        self._phase, self._due_s = Phase.CLOSED, math.inf
        self._transport.close()
        if self._transport.get_write_buffer_size():
            self._expect_progress()

    # Time

    def _enter(self, phase: Phase, limit_s: float) -> None:
        self._phase = phase
        if limit_s == math.inf:
            self._due_s = math.inf
        else:
            self._due_s = due_s = self._loop.time() + limit_s
            if due_s < self._rings_s:
                self._set_timer()

    def _expect_progress(self) -> None:
        self._unsent = self._transport.get_write_buffer_size()
        self._send_due_s = self._loop.time() + self._limits.send_timeout_s
        self._set_timer()

    def _set_timer(self) -> None:
        """A timer that rings too early stays as it is: most times are put off before they come, and a timer for each
        would cost."""
        due_s = min(self._due_s, self._send_due_s)
        if due_s < self._rings_s:
            if self._timer is not None:
                self._timer.cancel()
            self._timer, self._rings_s = self._loop.call_at(due_s, self._ring), due_s

    def _ring(self) -> None:
        self._timer, self._rings_s = None, math.inf
        now_s = self._loop.time()
        if self._send_due_s <= now_s:
            unsent = self._transport.get_write_buffer_size()
            if unsent >= self._unsent:
                self.abort()
                return
            self._expect_progress()
        if self._due_s > now_s:
            self._set_timer()
        elif self._phase is Phase.LINGERING and not self._transport.get_write_buffer_size():
            self.abort()
        else:
            self._close()
