"""Keeps a stream to one dispatcher replica: makes it, reads and writes it, and makes it again when it is lost.

A replica from which nothing is heard for a lease, or that doesn't acknowledge an interest in time, is taken for lost:
its stream is ended and made anew, with all that is served here in the first message. The replica answers with the
lowest id that was published through it in between, and the feeds read from history what they have missed.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import grpc
import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from proto import dispatch_pb2
from proto.channel import Unreachable, wait_connected
from proto.dispatch_pb2_grpc import DispatcherStub
from proto.tasks import first_ended
from rms.clocks import monotonic_ms
from rms.config import RmsSettings
from rms.upstream.registration import Draining, Identity, Registration, Served
from rms.upstream.trouble import FAILURES, LinkLost, Trouble

if TYPE_CHECKING:
    from proto.dispatch_pb2_grpc import DispatcherAsyncStub

log = structlog.stdlib.get_logger()

Stream: TypeAlias = "grpc.aio.StreamStreamCall[dispatch_pb2.NodeMessage, dispatch_pb2.DispatcherMessage]"

OpenChannel = Callable[[str, Sequence[tuple[str, int]]], grpc.aio.Channel]
"""Gives a channel to an address, with gRPC's options"""

MESSAGE_BYTES_MAX = 16 << 20
"""Larger than any message of a well-behaved replica: 4,000 of the longest comments"""


@dataclass(frozen=True, slots=True)
class LinkStatistics:
    address: str
    connected: bool
    trouble: str
    """why it isn't connected, without any address; empty if it is, or was never tried"""
    replica_id: str
    deliveries: int
    events: int
    tries: int
    """connections that were begun"""
    connects: int


class Link:
    """Connects, says hello, reads and writes; and again, with jittered back-off. `run` has one call at a time."""

    def __init__(
        self,
        address: str,
        settings: RmsSettings,
        identity: Identity,
        served: Served,
        draining: Draining,
        open_channel: OpenChannel,
    ) -> None:
        self.address = address
        self._trouble = Trouble(address)
        self._settings = settings
        self._identity = identity
        self._served = served
        self._draining = draining
        self._open_channel = open_channel
        self.stub: DispatcherAsyncStub | None = None
        """for other calls to the replica, while there is a stream"""
        self._call: Stream | None = None
        self._registration: Registration | None = None  # while there is a stream
        self._unrouted_from_id: int | None = None  # what the last registration has left to read
        self._given_up: str | None = None  # why `cut` ended the stream that is or was the last one
        self._made_ms = monotonic_ms()
        self._welcomed_ms: int | None = None  # monotonic, of the last welcome
        self._heard_ms: int | None = None  # monotonic, when the replica last said something
        self._answered_for_ms = 0  # a lease, from the end of a stream whose replica lived until the next welcome
        self._replica_id = ""
        self._deliveries = self._events = self._tries = self._connects = 0
        self._closing = False

    @property
    def connected(self) -> bool:
        return self._registration is not None and self._registration.welcomed

    @property
    def alive(self) -> bool:
        """The replica is connected, and was heard within its lease: as far as this node knows, it sends everything."""
        lease_ms = self._registration.lease_ms if self._registration else None
        return lease_ms is not None and self._given_up is None and self.away_ms <= lease_ms

    @property
    def beat_ms(self) -> int | None:
        """between beats, as the replica wants them; None while it isn't connected"""
        return self._registration.beat_ms if self._registration else None

    @property
    def silent_ms(self) -> int | None:
        """since the replica was last heard, at least 1; None if it never was"""
        return None if self._heard_ms is None else max(1, self.away_ms)

    @property
    def away_ms(self) -> int:
        """since the replica was last heard, or, if it never was, since this node knows of it"""
        return monotonic_ms() - (self._made_ms if self._heard_ms is None else self._heard_ms)

    async def run(self) -> None:
        """Until `close`. After a stream that was of use it makes the next one at once; otherwise it waits, longer with
        each failure in a row."""
        while not self._closing:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type(FAILURES),
                wait=wait_random_exponential(
                    multiplier=self._settings.reconnect_ms_min / 1000, max=self._settings.reconnect_ms_max / 1000
                ),
            ):
                with attempt:
                    try:
                        await self._life()
                    except FAILURES as error:
                        self._trouble.note(error)
                        raise
                    self._trouble.over()

    async def _life(self) -> None:
        """Returns when a stream has ended that was of use; raises one of FAILURES if it wasn't."""
        options = [
            ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.enable_retries", 0),
        ]
        self._tries += 1
        async with self._open_channel(self.address, options) as channel:
            try:
                await wait_connected(channel, self._settings.reconnect_ms_max)
            except Unreachable as unreachable:
                raise LinkLost(str(unreachable)) from unreachable
            self.stub = DispatcherStub(channel)
            call = self._call = self.stub.Connect()
            self._given_up = None
            # From here on each change of interest is queued for this stream; the hello has all that was before.
            registration = self._registration = Registration(
                self.address, self._identity, self._served, self._draining, self._unrouted_from_id
            )
            try:
                await self._converse(call, registration)
            except grpc.aio.AioRpcError as ended:
                if not registration.welcomed:
                    raise
                self._note_end(registration, ended.code())
                log.warning("dispatcher lost", dispatcher=self.address, code=ended.code().name, detail=ended.details())
            finally:
                self._call = self._registration = self.stub = None
                self._unrouted_from_id = registration.unrouted_from_id
                registration.end()
                call.cancel()
        self._check_use(registration)

    def _note_end(self, registration: Registration, code: grpc.StatusCode) -> None:
        """A replica that ends a stream, or whose stream this node ends, answers its publishers for what wasn't
        delivered. If it dies then, the next life of it knows nothing of that. So this node says that it was silent for
        a lease at least, and is told to read history. A replica that dies first answers nobody: that is UNAVAILABLE."""
        if code is not grpc.StatusCode.UNAVAILABLE or self._given_up is not None:
            self._answered_for_ms = registration.lease_ms or 0

    def _check_use(self, registration: Registration) -> None:
        """Raises LinkLost if the replica has done no more than welcome this node, so that the next try waits.
        Otherwise a replica that never acknowledges, or ends each stream at once, would be connected to without end,
        and each time the feeds would read what they may have missed."""
        if registration.has_acknowledged or self._closing:
            return
        assert self._welcomed_ms is not None
        stood_ms = monotonic_ms() - self._welcomed_ms
        if registration.owes_acknowledgement or stood_ms < self._settings.reconnect_ms_max:
            raise LinkLost(self._given_up or "the stream ended soon after its welcome")

    async def _converse(self, call: Stream, registration: Registration) -> None:
        hello = registration.hello(max(self.silent_ms or 0, self._answered_for_ms) or None)
        try:
            async with asyncio.timeout(self._settings.welcome_ms / 1000):
                await call.write(hello)
                first = await _read(call)
        except TimeoutError:
            raise LinkLost(f"no welcome within {self._settings.welcome_ms} ms") from None
        if first is None or first.WhichOneof("message") != "welcome":
            raise LinkLost("the stream ended before its welcome")
        self._trouble.connected()
        self._connects += 1
        self._welcomed_ms = self._heard_ms = monotonic_ms()
        self._answered_for_ms = 0
        self._replica_id = first.welcome.replica_id
        registration.welcome(first.welcome)
        # Cancelled from inside, as grpc does with a call that `cut` has cancelled, it returns.
        await first_ended(self._listen(call, registration), _speak(call, registration))

    async def _listen(self, call: Stream, registration: Registration) -> None:
        """Until the replica ends the stream"""
        while message := await _read(call):
            if not self.alive:
                # This process stood still, and the replica has given it up meanwhile. What it sent before is old.
                self.cut("nothing was heard for a lease")
                return
            self._heard_ms = monotonic_ms()
            events = registration.take(message)
            self._events += events
            self._deliveries += events > 0

    def announce(self, video_id: str, joined: bool) -> "asyncio.Future[None] | None":
        """As Registration.announce. None also if there is no stream: then the next hello says it."""
        return self._registration.announce(video_id, joined) if self._registration else None

    def use_totals(self, use: bool) -> None:
        """As Registration.use_totals. Does nothing if there is no stream."""
        if self._registration is not None:
            self._registration.use_totals(use)

    def beat(self, beat: dispatch_pb2.Beat) -> None:
        """As Registration.beat. Does nothing if there is no stream."""
        if self._registration is None:
            return
        lease_ms = self._registration.lease_ms
        if lease_ms is not None and self.away_ms > lease_ms:
            self.cut("nothing was heard for a lease")
        else:
            self._registration.beat(beat)

    def cut(self, why: str) -> None:
        """Ends the stream, and `run` makes a new one; the first reason counts. A stream without its welcome is left
        alone: that has its own bound, and a back-off after it."""
        if self._call is not None and self.connected and self._given_up is None:
            log.warning("dispatcher given up", dispatcher=self.address, why=why)
            self._given_up = why
            self._call.cancel()

    async def close(self) -> None:
        """Says goodbye by ending the stream from this side; `run` returns when the replica has ended the other."""
        self._closing = True
        if self._call is not None:
            # The last of these comes if the replica ends the stream in the same moment.
            with contextlib.suppress(grpc.RpcError, asyncio.InvalidStateError, grpc.aio.BaseError):
                await self._call.done_writing()

    def statistics(self) -> LinkStatistics:
        return LinkStatistics(
            self.address,
            self.connected,
            self._trouble.words,
            self._replica_id,
            self._deliveries,
            self._events,
            self._tries,
            self._connects,
        )


async def _read(call: Stream) -> dispatch_pb2.DispatcherMessage | None:
    """None when the replica has ended the stream"""
    message = await call.read()
    return message if isinstance(message, dispatch_pb2.DispatcherMessage) else None


async def _speak(call: Stream, registration: Registration) -> None:
    """Writes what is to be said, for ever. A stream that is over is left to `_listen`, which may have messages to read
    before it finds out why."""
    with contextlib.suppress(grpc.RpcError, asyncio.InvalidStateError):
        while True:
            for message in await registration.to_say():
                await call.write(message)
    await asyncio.Event().wait()
