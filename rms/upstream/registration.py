"""One registration of this node at a replica, from the hello to the end of the stream: what each side has said, and
what this side has still to say. link.py makes, reads and writes the stream.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from history.core.ids import first_id_at, time_of
from proto import dispatch_pb2
from rms.clocks import monotonic_ms, wall_ms
from rms.feed.event import Event, Promise
from rms.upstream.decoding import events_of

log = structlog.stdlib.get_logger()

CLOCKS_APART_MS = 10_000
"""how much the clocks of comment services and this node may differ, together with an event's way here. So much is read
twice."""


class Served(Protocol):
    """What the served videos do for the links."""

    useless: int
    """events that came for videos not served here"""

    def __len__(self) -> int:
        """videos served"""
        ...

    def deliver(self, video_id: str, events: Sequence[Event]) -> None: ...
    def catch_up(
        self, from_id: int, live_waits: bool, video_ids: Sequence[str] = (), promise: Promise | None = None
    ) -> None: ...
    def sure_until(self, sure_ms: int | None) -> None: ...
    def note_unreadable(self, from_ids: Mapping[int, int]) -> None: ...
    def serving(self) -> dict[str, int]: ...
    def changed_viewers(self) -> tuple[dict[str, int], int]: ...
    def set_totals(self, viewers: Mapping[str, int]) -> None: ...


class Draining(Protocol):
    """Carries out the operators' commands."""

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


class Registration:
    """Built when the hello is due; of no use any more after `end`."""

    def __init__(
        self, address: str, identity: Identity, served: Served, draining: Draining, unrouted_from_id: int | None
    ) -> None:
        """unrouted_from_id: what the registration before had still to read; None: nothing."""
        self._address = address
        self._identity = identity
        self._served = served
        self._draining = draining
        self.lease_ms: int | None = None
        """how long the replica believes in this node without a beat; None: it hasn't welcomed it"""
        self.beat_ms: int | None = None
        """between beats, as the replica wants them; None: it hasn't welcomed this node"""
        self.has_acknowledged = False
        """an interest, at least one"""
        self.unrouted_from_id = unrouted_from_id
        """from which id on to read for videos opened since a hello and before its welcome; None: all are routed here"""
        self._hello_ms = monotonic_ms()
        self._uses_totals = False  # true at one of the replicas
        self._totals: dict[str, int] = {}  # viewers of this node's videos on all nodes, as the replica has reported
        self._wake = asyncio.Event()
        self._interest: dict[str, bool] = {}  # since the last Interest: joined (True) or left
        self._number = 0  # of the last Interest
        self._next_ack: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._acks: dict[int, asyncio.Future[None]] = {}
        self._delivered = self._delivered_sent = 0  # numbers of deliveries: the last that came, the last acknowledged
        self._ack_due = False  # the last acknowledgement waits no longer
        self._ack_timer: asyncio.TimerHandle | None = None
        self._beat: dispatch_pb2.Beat | None = None

    @property
    def welcomed(self) -> bool:
        return self.lease_ms is not None

    def hello(self, silent_ms: int | None) -> dispatch_pb2.NodeMessage:
        """All that is served here. To be called at once: each change of interest since this registration was built is
        said after it. silent_ms: since the replica was last heard; None if it never was."""
        serving = self._served.serving()
        hello = dispatch_pb2.Hello(
            node_id=self._identity.node_id,
            incarnation=self._identity.incarnation,
            public_url=self._identity.public_url,
            capacity_viewers=self._identity.capacity,
            load=dispatch_pb2.Load(viewers=sum(serving.values())),
            videos=video_viewers(serving),
            draining=self._draining.draining,
            silent_ms=silent_ms or 0,
        )
        return dispatch_pb2.NodeMessage(hello=hello)

    @property
    def owes_acknowledgement(self) -> bool:
        """An interest was announced to the replica, and it hasn't said that it routes the videos here."""
        return bool(self._acks)

    # What the replica says

    def welcome(self, welcome: dispatch_pb2.Welcome) -> None:
        self.lease_ms, self.beat_ms = welcome.lease_ms, welcome.beat_ms
        log.info("dispatcher connected", dispatcher=self._address, replica=welcome.replica_id)
        self._take_unreadable(welcome.unreadable)
        if welcome.catch_up_from_id:
            self._served.sure_until(time_of(welcome.catch_up_from_id))  # the next beat says that this is over
            self._catch_up(welcome.catch_up_from_id)
        if not self._interest:
            self._read_unrouted()  # of the registration before: they were in this hello

    def take(self, message: dispatch_pb2.DispatcherMessage) -> int:
        """Takes any message after the welcome. Returns how many events it has brought."""
        kind = message.WhichOneof("message")
        if kind == "deliver":
            came = 0
            for video in message.deliver.videos:
                events = events_of(video)
                came += len(events)
                self._served.deliver(video.video_id, events)
            self._take_viewers(message.deliver.viewers)
            self._acknowledge(message.deliver.number, message.deliver.ack_within_ms)
            return came
        if kind == "interest_ack":
            self._take_unreadable(message.interest_ack.unreadable)
            self._interest_acknowledged(message.interest_ack.number)
        elif kind == "beat_ack":
            self._take_viewers(message.beat_ack.videos)
        elif kind == "drain":
            if message.drain.draining:
                self._draining.start(message.drain.over_ms)
            else:
                self._draining.cancel()
        elif kind == "catch_up":
            # Acknowledged at once: from here on it is this node that owes these events to its viewers.
            order = message.catch_up
            promise = Promise(order.service, order.from_id, order.up_to_id) if order.up_to_id else None
            self._catch_up(order.from_id, order.video_ids, promise)
            self._acknowledge(message.catch_up.number, within_ms=0)
        return 0

    def _take_unreadable(self, unreadable: Iterable[dispatch_pb2.Unreadable]) -> None:
        """Before what they are about: a video that opens now"""
        self._served.note_unreadable({each.service: each.from_id for each in unreadable})

    def _take_viewers(self, videos: Iterable[dispatch_pb2.VideoViewers]) -> None:
        """On all nodes together; only where it has changed"""
        changed = {video.video_id: video.viewers for video in videos}
        if changed:
            self._totals.update(changed)
            if self._uses_totals:
                self._served.set_totals(changed)

    def _acknowledge(self, number: int, within_ms: int) -> None:
        """within_ms: so long it may wait for others, or for a beat to travel with"""
        self._delivered = number
        if not within_ms:
            self._acknowledge_now()
        elif self._ack_timer is None:
            self._ack_timer = asyncio.get_running_loop().call_later(within_ms / 1000, self._acknowledge_now)

    def _acknowledge_now(self) -> None:
        if self._ack_timer is not None:
            self._ack_timer.cancel()
            self._ack_timer = None
        self._ack_due = True
        self._wake.set()

    def _interest_acknowledged(self, number: int) -> None:
        ack = self._acks.pop(number, None)
        if ack is not None:
            self.has_acknowledged = True
            if not ack.done():
                ack.set_result(None)
        self._read_unrouted()

    def _read_unrouted(self) -> None:
        """For videos that opened, and read their past, before the replica routed them here"""
        if self.unrouted_from_id is not None:
            self._catch_up(self.unrouted_from_id)
            self.unrouted_from_id = None

    def _catch_up(self, from_id: int, video_ids: Sequence[str] = (), promise: Promise | None = None) -> None:
        """video_ids: only in these; empty: in all that are served here"""
        log.info("catching up", dispatcher=self._address, from_ms_ago=wall_ms() - time_of(from_id))
        self._served.catch_up(from_id, True, video_ids, promise)

    # What this node says

    async def to_say(self) -> list[dispatch_pb2.NodeMessage]:
        """Waits for something to say, and returns all messages that are due."""
        while not (messages := self._messages()):
            self._wake.clear()
            await self._wake.wait()
        return messages

    def _messages(self) -> list[dispatch_pb2.NodeMessage]:
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
            for video_id in interest.left:
                self._totals.pop(video_id, None)
            messages.append(dispatch_pb2.NodeMessage(interest=interest))
        if self._beat is not None:
            beat = dispatch_pb2.Beat(delivered=self._take_delivered())
            beat.MergeFrom(self._beat)  # which the links share
            self._beat = None
            messages.append(dispatch_pb2.NodeMessage(beat=beat))
        elif self._ack_due and (number := self._take_delivered()):
            messages.append(dispatch_pb2.NodeMessage(delivered=dispatch_pb2.Delivered(number=number)))
        return messages

    def _take_delivered(self) -> int:
        """The number to acknowledge now; 0: all are acknowledged"""
        self._ack_due = False
        if self._delivered == self._delivered_sent:
            return 0
        self._delivered_sent = self._delivered
        return self._delivered

    def announce(self, video_id: str, joined: bool) -> "asyncio.Future[None] | None":
        """The future is done when the replica has acknowledged, or the registration has ended. None: the replica hasn't
        welcomed this node. For a video that joins before that, which may take long, history is read once it is
        acknowledged."""
        self._interest[video_id] = joined
        if joined and self._uses_totals and (total := self._totals.get(video_id)) is not None:
            self._served.set_totals({video_id: total})  # it comes again before the replica has heard that it had left
        self._wake.set()
        if self.welcomed:
            return self._next_ack
        if joined and self.unrouted_from_id is None:
            since_hello_ms = monotonic_ms() - self._hello_ms
            self.unrouted_from_id = first_id_at(wall_ms() - since_hello_ms - CLOCKS_APART_MS)
        return None

    def beat(self, beat: dispatch_pb2.Beat) -> None:
        """Said once the replica has welcomed this node, and reads. A beat has only the numbers that have changed since
        the one before: those of one that still waits go with it."""
        if self._beat is not None and self._beat.videos:
            changed = {video.video_id: video.viewers for each in (self._beat, beat) for video in each.videos}
            beat = dispatch_pb2.Beat(videos=video_viewers(changed), load=beat.load, draining=beat.draining)
        self._beat = beat
        self._wake.set()

    def use_totals(self, use: bool) -> None:
        """use: this replica's numbers of viewers on all nodes are the ones that viewers are sent."""
        if use and not self._uses_totals:
            self._served.set_totals(self._totals)
        self._uses_totals = use

    def end(self) -> None:
        """Ends all waiting for acknowledgements: after the reconnect what is missing is read from history."""
        if self._ack_timer is not None:
            self._ack_timer.cancel()
        for ack in (*self._acks.values(), self._next_ack):
            if not ack.done():
                ack.set_result(None)


def video_viewers(viewers: Mapping[str, int]) -> list[dispatch_pb2.VideoViewers]:
    return [dispatch_pb2.VideoViewers(video_id=video_id, viewers=count) for video_id, count in viewers.items()]
