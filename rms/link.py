"""One stream to one dispatcher replica: what this node serves goes up, the comments of these videos come down.

A replica from which nothing is heard for a lease, or that doesn't acknowledge an interest in time, is taken for lost:
its stream is ended and made anew, with the full picture in the first message. What was missed in between the replica
knows by the lowest id that was published through it, and the feeds read it from history.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import grpc
import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from history.ids import first_id_at, time_of
from history.model import Author, Comment, Erasure
from proto import comment_pb2, dispatch_pb2
from proto.channel import Unreachable, wait_connected, why_unreachable
from proto.dispatch_pb2_grpc import DispatcherStub
from rms.config import RmsSettings
from rms.rooms import monotonic_ms, wall_ms

log = structlog.stdlib.get_logger()

Stream: TypeAlias = "grpc.aio.StreamStreamCall[dispatch_pb2.NodeMessage, dispatch_pb2.DispatcherMessage]"

MESSAGE_BYTES_MAX = 16 << 20
"""Larger than any message of a well-behaved replica: 4,000 of the longest comments"""

CLOCKS_APART_MS = 10_000
"""how much the clocks of comment services and this node, and a comment's way, may differ: so much is read twice"""

TOLD_MAX = 5
"""lines about one replica that stays away"""


class Served(Protocol):
    """What the feeds do for the links."""

    useless: int
    """comments that came for videos not served here"""

    def deliver(self, comments: Iterable[Comment | Erasure]) -> None: ...
    def catch_up(self, from_id: int) -> None: ...
    def serving(self) -> dict[str, int]: ...
    def changed_viewers(self) -> tuple[dict[str, int], int]: ...
    def count(self, viewers: Mapping[str, int]) -> None: ...


class Draining(Protocol):
    """The operators' word, carried out."""

    draining: bool

    def start(self, over_ms: int) -> None: ...
    def cancel(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Identity:
    """This life of this node. incarnation: grows with every life."""

    node_id: str
    incarnation: int
    public_url: str
    capacity: int


@dataclass(frozen=True, slots=True)
class LinkStatistics:
    address: str
    connected: bool
    trouble: str
    """why it isn't connected, in words that name no address; empty if it is, or was never tried"""
    replica_id: str
    deliveries: int
    comments: int
    tries: int
    """connections that were begun"""
    connects: int


class LinkLost(Exception):
    """The replica could not be reached, or the stream ended before its welcome."""


OpenChannel = Callable[[str, Sequence[tuple[str, int]]], grpc.aio.Channel]
"""Gives a channel to an address, with gRPC's options"""


class Link:
    """The life of this node at one replica: connect, say hello, listen and speak; again, with jittered back-off."""

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
        self.trouble = ""
        self._told: set[str] = set()  # troubles, since it was last connected
        self._open_channel = open_channel
        self._counts = False  # its numbers of viewers are the ones that are told; true for one of the links
        self._totals: dict[str, int] = {}  # viewers of this node's videos everywhere, as the replica has told
        self.replica_id = ""
        self._settings = settings
        self._identity = identity
        self._served = served
        self._draining = draining
        self._call: Stream | None = None
        self._welcomed = False
        self._made_ms = monotonic_ms()
        self._heard_ms = 0
        self._lease_ms = 0
        self.beat_ms = 0
        self._wake = asyncio.Event()
        self._interest: dict[str, bool] = {}  # since the last Interest: joined (True) or left
        self._number = 0  # of the last Interest
        self._hello_ms = 0  # when the last one was written, wall clock
        self._unrouted_from_id = 0  # of videos opened since a hello and before its welcome; 0: they are routed here now
        self._next_ack = asyncio.get_running_loop().create_future()
        self._acks: dict[int, asyncio.Future[None]] = {}
        self._delivered = 0
        self._delivered_told = 0
        self._beat: dispatch_pb2.Beat | None = None
        self._deliveries = self._comments = self._tries = self._connects = 0
        self._closing = False
        self._given_up = False  # the stream under way was ended by `cut`

    @property
    def connected(self) -> bool:
        return self._welcomed

    @property
    def silent_ms(self) -> int:
        """since the replica was last heard; 0 if it never was"""
        return self.away_ms if self._heard_ms else 0

    @property
    def away_ms(self) -> int:
        """since the replica was last heard, or, if it never was, since this node knows of it; at least 1"""
        return max(1, monotonic_ms() - (self._heard_ms or self._made_ms))

    async def run(self) -> None:
        """Until `close`."""
        while not self._closing:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type((LinkLost, grpc.RpcError, OSError)),
                wait=wait_random_exponential(
                    multiplier=self._settings.reconnect_ms_min / 1000, max=self._settings.reconnect_ms_max / 1000
                ),
            ):
                with attempt:
                    try:
                        await self._life()
                    except (LinkLost, grpc.RpcError, OSError) as error:
                        self._note_trouble(error)
                        raise

    def _note_trouble(self, error: Exception) -> None:
        """While a replica stays away, each reason is told once. In the peer's own words only to the log: they may name
        addresses, and `trouble` is for strangers, too."""
        self.trouble, said = _reason(error), {}
        if not isinstance(error, LinkLost):
            said["detail"] = error.details() if isinstance(error, grpc.aio.AioRpcError) else str(error)
        if self.trouble not in self._told and len(self._told) < TOLD_MAX:
            self._told.add(self.trouble)
            log.warning("dispatcher can't be reached", dispatcher=self.address, reason=self.trouble, **said)

    async def _life(self) -> None:
        """Returns when a stream has ended that had been welcomed; raises if it hadn't."""
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
            call = self._call = DispatcherStub(channel).Connect()
            self._given_up = False
            try:
                await self._listen(call)
            except grpc.aio.AioRpcError as ended:
                if not self._welcomed:
                    raise
                log.warning("dispatcher lost", dispatcher=self.address, code=ended.code().name, detail=ended.details())
            except asyncio.CancelledError:
                if not self._given_up:  # grpc raises this for its own calls, too
                    raise
            finally:
                self._end()
                call.cancel()

    async def _listen(self, call: Stream) -> None:
        # From here on each change of interest is queued for this stream; the hello has all that was before.
        hello = self._hello()
        try:
            async with asyncio.timeout(self._settings.welcome_ms / 1000):
                await call.write(dispatch_pb2.NodeMessage(hello=hello))
                first = await _read(call)
        except TimeoutError:
            raise LinkLost(f"no welcome within {self._settings.welcome_ms} ms") from None
        if first is None or first.WhichOneof("message") != "welcome":
            raise LinkLost("the stream ended before its welcome")
        self._welcome(first.welcome)
        speaker = asyncio.create_task(self._speak(call))
        try:
            while message := await _read(call):
                self._heard_ms = monotonic_ms()
                self._take(message)
        finally:
            speaker.cancel()
            await asyncio.gather(speaker, return_exceptions=True)

    def _hello(self) -> dispatch_pb2.Hello:
        self._hello_ms = wall_ms()
        self._interest.clear()
        self._number = self._delivered = self._delivered_told = 0
        serving = self._served.serving()
        return dispatch_pb2.Hello(
            node_id=self._identity.node_id,
            incarnation=self._identity.incarnation,
            public_url=self._identity.public_url,
            capacity_viewers=self._identity.capacity,
            load=dispatch_pb2.Load(viewers=sum(serving.values())),
            videos=video_viewers(serving),
            draining=self._draining.draining,
            silent_ms=self.silent_ms,
        )

    def _welcome(self, welcome: dispatch_pb2.Welcome) -> None:
        self._welcomed = True
        self.trouble = ""
        self._told.clear()
        self._connects += 1
        self._heard_ms = monotonic_ms()
        self.replica_id = welcome.replica_id
        self._lease_ms, self.beat_ms = welcome.lease_ms, welcome.beat_ms
        log.info("dispatcher connected", dispatcher=self.address, replica=welcome.replica_id)
        if welcome.catch_up_from_id:
            self._catch_up(welcome.catch_up_from_id)
        if not self._interest:
            self._read_unrouted()  # of a stream before this one: they were in this hello

    def _end(self) -> None:
        """Whoever waits for this replica's word needn't any more: after the reconnect history fills what is missing."""
        self._call = None
        self._welcomed = self._counts = False
        self._totals.clear()
        acks, self._acks = self._acks, {}
        for ack in (*acks.values(), self._next_ack):
            if not ack.done():
                ack.set_result(None)
        self._next_ack = asyncio.get_running_loop().create_future()

    def _take(self, message: dispatch_pb2.DispatcherMessage) -> None:
        kind = message.WhichOneof("message")
        if kind == "deliver":
            self._deliveries += 1
            self._comments += len(message.deliver.comments)
            self._served.deliver(map(_comment, message.deliver.comments))
            self._delivered = message.deliver.number
            self._wake.set()
        elif kind == "interest_ack":
            ack = self._acks.pop(message.interest_ack.number, None)
            if ack is not None and not ack.done():
                ack.set_result(None)
            self._read_unrouted()
        elif kind == "beat_ack":
            changed = {video.video_id: video.viewers for video in message.beat_ack.videos}
            self._totals.update(changed)
            if self._counts:
                self._served.count(changed)
        elif kind == "drain":
            self._take_word(message.drain)
        elif kind == "catch_up":
            # Acknowledged at once: from here on it is this node that owes these comments to its viewers.
            self._catch_up(message.catch_up.from_id)
            self._delivered = message.catch_up.number
            self._wake.set()

    def _read_unrouted(self) -> None:
        """For videos that opened, and read their past, before the replica routed them here"""
        if self._unrouted_from_id:
            self._catch_up(self._unrouted_from_id)
            self._unrouted_from_id = 0

    def _catch_up(self, from_id: int) -> None:
        log.info("catching up", dispatcher=self.address, from_ms_ago=wall_ms() - time_of(from_id))
        self._served.catch_up(from_id)

    def _take_word(self, drain: dispatch_pb2.Drain) -> None:
        if drain.draining:
            self._draining.start(drain.over_ms)
        else:
            self._draining.cancel()

    async def _speak(self, call: Stream) -> None:
        """Writes what is to be said, all of it that has come together since the last write."""
        while True:
            for message in self._to_say():
                await call.write(message)
            await self._wake.wait()
            self._wake.clear()

    def _to_say(self) -> list[dispatch_pb2.NodeMessage]:
        messages = []
        if self._interest:
            self._number += 1
            changes, self._interest = self._interest, {}
            self._acks[self._number], self._next_ack = self._next_ack, asyncio.get_running_loop().create_future()
            interest = dispatch_pb2.Interest(
                number=self._number,
                joined=[video_id for video_id, joined in changes.items() if joined],
                left=[video_id for video_id, joined in changes.items() if not joined],
            )
            messages.append(dispatch_pb2.NodeMessage(interest=interest))
        if self._delivered != self._delivered_told:
            self._delivered_told = self._delivered
            messages.append(dispatch_pb2.NodeMessage(delivered=dispatch_pb2.Delivered(number=self._delivered)))
        if self._beat is not None:
            messages.append(dispatch_pb2.NodeMessage(beat=self._beat))
            self._beat = None
        return messages

    def announce(self, video_id: str, joined: bool) -> "asyncio.Future[None] | None":
        """The future is done when the replica has acknowledged, or the stream has ended. None: the replica hasn't
        welcomed this node. A video that joins before the hello is in it. For one that joins between hello and welcome,
        which may take long, history is read once it is acknowledged."""
        if self._call is None:
            return None
        self._interest[video_id] = joined
        if not joined:
            self._totals.pop(video_id, None)
        self._wake.set()
        if self._welcomed:
            return self._next_ack
        if joined and not self._unrouted_from_id:
            self._unrouted_from_id = first_id_at(self._hello_ms - CLOCKS_APART_MS)
        return None

    def count(self, counts: bool) -> None:
        """Whether this replica's numbers of viewers are the ones that are told"""
        if counts and not self._counts:
            self._served.count(self._totals)
        self._counts = counts

    def beat(self, beat: dispatch_pb2.Beat) -> None:
        if self._welcomed and monotonic_ms() - self._heard_ms > self._lease_ms:
            self.cut("silent")
        elif self._welcomed:
            self._beat = beat
            self._wake.set()

    def cut(self, why: str) -> None:
        """Ends the stream; `run` makes a new one. One that waits for its welcome is left alone: that has its own bound,
        and a back-off after it."""
        if self._call is not None and self._welcomed:
            log.warning("dispatcher given up", dispatcher=self.address, why=why)
            self._given_up = True
            self._call.cancel()

    async def close(self) -> None:
        """Says goodbye by ending the stream from this side; `run` returns when the replica has ended the other."""
        self._closing = True
        if self._call is not None:
            with contextlib.suppress(grpc.RpcError, asyncio.InvalidStateError):
                await self._call.done_writing()

    def statistics(self) -> LinkStatistics:
        return LinkStatistics(
            self.address,
            self._welcomed,
            self.trouble,
            self.replica_id,
            self._deliveries,
            self._comments,
            self._tries,
            self._connects,
        )


def _reason(error: Exception) -> str:
    """In our words, which name no address"""
    if isinstance(error, LinkLost):
        return str(error)
    if isinstance(error, grpc.aio.AioRpcError):
        return why_unreachable(error) or f"the connection failed: {error.code().name}"
    return "the connection failed"


async def _read(call: Stream) -> dispatch_pb2.DispatcherMessage | None:
    """None when the replica has ended the stream"""
    message = await call.read()
    return message if isinstance(message, dispatch_pb2.DispatcherMessage) else None


def video_viewers(viewers: dict[str, int]) -> list[dispatch_pb2.VideoViewers]:
    return [dispatch_pb2.VideoViewers(video_id=video_id, viewers=count) for video_id, count in viewers.items()]


def _comment(message: comment_pb2.Comment) -> Comment | Erasure:
    if message.erased_id:
        return Erasure(message.id, message.video_id, message.erased_id)
    author = Author(message.author.id, message.author.name)
    return Comment(message.id, message.video_id, author, message.message, message.created_at_ms)
