"""Runs cassandra-driver's connections on the caller's asyncio loop, in place of a reactor in a thread of its own.

With the driver's own reactors every request and every response changes threads. Each change waits for Python's lock, up
to 5 ms on a busy loop, while Cassandra has nothing to do. Here a request is on the wire before `execute_async` returns,
and a response is decoded where it is awaited. What blocks (connecting, preparing) must run in another thread, because
its responses come through this loop.

In clear; history/cassandra/sealed.py adds TLS. Modelled on the driver's own reactors (cassandra.io), 3.30.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Lock, get_ident
from typing import Any, ClassVar

from cassandra.connection import Connection, ConnectionShutdown, EndPoint
from cassandra.protocol import AuthenticateMessage

from history.cassandra.access import NO_USER, Access, Refused

READ_BYTES = 64 * 1024
"""in one read: some hundred comments"""

READS_AT_ONCE = 32
"""More than a socket's buffer holds: after a pause of the process, all responses that came meanwhile are read before
their time-outs fire."""


class LoopTimer:
    """One call, later, on the loop. Made and cancelled by any thread."""

    def __init__(self, owner: type["LoopConnection"], delay_s: float, callback: Callable[[], object]) -> None:
        self._owner = owner
        self._callback: Callable[[], object] | None = callback
        self._handle: asyncio.TimerHandle | None = None
        owner.on_loop(self._begin, delay_s)

    def cancel(self) -> None:
        self._callback = None
        self._owner.on_loop(self._end)

    def _begin(self, delay_s: float) -> None:
        if self._callback is not None:
            self._handle = self._owner.loop.call_later(delay_s, self._fire)

    def _end(self) -> None:
        if self._handle is not None:
            self._handle.cancel()

    def _fire(self) -> None:
        if self._callback is not None:
            self._callback()


class LoopConnection(Connection):  # type: ignore[misc]  # the driver ships no types
    """`connection_class` (sealed.py) makes a subclass for each loop: the driver makes the instances, and can't pass the
    loop."""

    loop: ClassVar[asyncio.AbstractEventLoop]
    thread: ClassVar[int]
    """of the loop, by threading.get_ident()"""
    access: ClassVar[Access]
    refusals: ClassVar[dict[EndPoint, str]]
    """Of each node that refuses us, or that we refuse: what has to be changed"""
    is_closed: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Blocks while it connects."""
        super().__init__(*args, **kwargs)
        self._unsent = bytearray()
        self._sending = Lock()
        self._connect_socket()
        self._socket.setblocking(False)
        self.on_loop(self._listen)
        self._send_options_message()

    @classmethod
    def factory(cls, endpoint: EndPoint, timeout: float, *args: Any, **kwargs: Any) -> "LoopConnection":
        """The driver makes all connections here. Blocks until Cassandra takes requests. Raises Refused if it will never
        do until something is changed, and otherwise many different errors."""
        try:
            connection: LoopConnection = super().factory(endpoint, timeout, *args, **kwargs)
        except Exception as error:
            if refusal := cls.access.refusal(error, endpoint):
                cls.refusals[endpoint] = refusal
                raise Refused(refusal, endpoint) from error
            cls.refusals.pop(endpoint, None)
            raise
        cls.refusals.pop(endpoint, None)
        return connection

    @classmethod
    def on_loop(cls, call: Callable[..., object], *args: object) -> None:
        """Calls it: now, if this is the loop's thread; soon, from another thread; never, if the loop has ended."""
        if cls.loop.is_closed():
            return
        if get_ident() == cls.thread:
            call(*args)
        else:
            with suppress(RuntimeError):
                cls.loop.call_soon_threadsafe(call, *args)

    @classmethod
    def create_timer(cls, timeout: float, callback: Callable[[], object]) -> LoopTimer:
        return LoopTimer(cls, timeout, callback)

    def push(self, data: bytes) -> None:
        """Sends, from any thread. What the kernel doesn't take now is sent when it has room."""
        with self._sending:
            if not self._unsent:
                try:
                    sent = self._socket.send(data)
                except BlockingIOError:
                    sent = 0
                except OSError as error:
                    # Later: the sender has not yet registered the request.
                    with suppress(RuntimeError):
                        self.loop.call_soon_threadsafe(self.defunct, error)
                    return
                if sent == len(data):
                    return
                data = data[sent:]
                self.on_loop(self._await_room)
            self._unsent += data

    def close(self) -> None:
        with self.lock:
            if self.is_closed:
                return
            self.is_closed = True
        if self.loop.is_running():
            self.on_loop(self._leave)
        else:  # a driver that is shut down late: what is handed to this loop now may never be called
            with suppress(RuntimeError):
                self._leave()
            self._socket.close()
        if not self.is_defunct:  # otherwise `defunct` does it
            shutdown = ConnectionShutdown(f"the connection to {self.endpoint} was closed")
            self.error_all_requests(shutdown)
            if not self.connected_event.is_set():  # a waiter must not take it for connected
                self.last_error = shutdown
                self.connected_event.set()

    def __del__(self) -> None:
        """The driver's threads may close it just when the loop ends, which then never comes to `_leave`."""
        if (sock := getattr(self, "_socket", None)) is not None:
            sock.close()

    def _handle_startup_response(self, startup_response: object, did_authenticate: bool = False) -> None:
        """The driver would log something about another product."""
        if isinstance(startup_response, AuthenticateMessage) and self.authenticator is None:
            self.defunct(Refused(NO_USER, self.endpoint))
        else:
            super()._handle_startup_response(startup_response, did_authenticate)

    def _listen(self) -> None:
        if not self.is_closed:
            self.loop.add_reader(self._socket.fileno(), self._read)

    def _leave(self) -> None:
        with self._sending:
            self.loop.remove_reader(self._socket.fileno())
            self.loop.remove_writer(self._socket.fileno())
            self._socket.close()

    def _await_room(self) -> None:
        if not self.is_closed:
            self.loop.add_writer(self._socket.fileno(), self._send_rest)

    def _send_rest(self) -> None:
        with self._sending:
            try:
                del self._unsent[: self._socket.send(self._unsent)]
            except BlockingIOError:
                return
            except OSError as error:
                self.loop.remove_writer(self._socket.fileno())
                self.loop.call_soon(self.defunct, error)
                return
            if not self._unsent:
                self.loop.remove_writer(self._socket.fileno())

    def _read(self) -> None:
        for _ in range(READS_AT_ONCE):
            try:
                data = self._socket.recv(READ_BYTES)
            except BlockingIOError:
                break
            except OSError as error:
                self.defunct(error)
                return
            if not data:
                self.close()
                return
            self._iobuf.write(data)
            if len(data) < READ_BYTES:
                break
        self.process_io_buffer()
