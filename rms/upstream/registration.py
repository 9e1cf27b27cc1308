"""One registration of this node at a replica, from the hello to the end of the stream: what each side has said, and
what this side has still to say. link.py makes, reads and writes the stream.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import structlog

from history.core.ids import first_id_at, time_of
from history.core.model import Author, Comment, Erasure
from proto import comment_pb2, dispatch_pb2
from rms.clocks import wall_ms

log = structlog.stdlib.get_logger()

CLOCKS_APART_MS = 10_000
"""how much the clocks of comment services and this node may differ, together with a comment's way here. So much is read
twice."""


ACK_WAIT_S = 0.005
"""for which a delivery's acknowledgement waits for those of the next ones: a message costs both ends 0.1 ms, and with
many small videos nearly each comment is a delivery of its own. The publisher has fewer than 8 batches unanswered then,
so it isn't slowed down."""


class Served(Protocol):
    """What the served videos do for the links."""

    useless: int
    """comments that came for videos not served here"""

    def deliver(self, comments: Iterable[Comment | Erasure]) -> None: ...
    def catch_up(self, from_id: int, live_waits: bool) -> None: ...
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
        self._hello_ms = wall_ms()
        self._uses_totals = False  # true at one of the replicas
        self._totals: dict[str, int] = {}  # viewers of this node's videos on all nodes, as the replica has reported
        self._wake = asyncio.Event()
        self._interest: dict[str, bool] = {}  # since the last Interest: joined (True) or left
        self._number = 0  # of the last Interest
        self._next_ack: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._acks: dict[int, asyncio.Future[None]] = {}
        self._delivered = self._delivered_sent = 0  # numbers of deliveries: the last that came, the last acknowledged
        self._ack_waits = self._ack_due = False  # for those of more deliveries; it has waited
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
        if welcome.catch_up_from_id:
            self._catch_up(welcome.catch_up_from_id)
        if not self._interest:
            self._read_unrouted()  # of the registration before: they were in this hello

    def take(self, message: dispatch_pb2.DispatcherMessage) -> int:
        """Takes any message after the welcome. Returns how many comments it has brought."""
        kind = message.WhichOneof("message")
        if kind == "deliver":
            self._served.deliver(map(_comment, message.deliver.comments))
            self._acknowledge(message.deliver.number)
            return len(message.deliver.comments)
        if kind == "interest_ack":
            self._interest_acknowledged(message.interest_ack.number)
        elif kind == "beat_ack":
            changed = {video.video_id: video.viewers for video in message.beat_ack.videos}
            self._totals.update(changed)
            if self._uses_totals:
                self._served.set_totals(changed)
        elif kind == "drain":
            if message.drain.draining:
                self._draining.start(message.drain.over_ms)
            else:
                self._draining.cancel()
        elif kind == "catch_up":
            # Acknowledged at once: from here on it is this node that owes these comments to its viewers.
            self._catch_up(message.catch_up.from_id)
            self._acknowledge(message.catch_up.number)
        return 0

    def _acknowledge(self, number: int) -> None:
        self._delivered = number
        if not self._ack_waits:
            self._ack_waits = True
            asyncio.get_running_loop().call_later(ACK_WAIT_S, self._end_ack_wait)

    def _end_ack_wait(self) -> None:
        self._ack_waits, self._ack_due = False, self._delivered != self._delivered_sent
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

    def _catch_up(self, from_id: int) -> None:
        log.info("catching up", dispatcher=self._address, from_ms_ago=wall_ms() - time_of(from_id))
        self._served.catch_up(from_id, live_waits=True)

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
            messages.append(dispatch_pb2.NodeMessage(interest=interest))
        if self._delivered != self._delivered_sent and (self._ack_due or messages):
            self._delivered_sent = self._delivered
            self._ack_due = False
            messages.append(dispatch_pb2.NodeMessage(delivered=dispatch_pb2.Delivered(number=self._delivered)))
        if self._beat is not None:
            messages.append(dispatch_pb2.NodeMessage(beat=self._beat))
            self._beat = None
        return messages

    def announce(self, video_id: str, joined: bool) -> "asyncio.Future[None] | None":
        """The future is done when the replica has acknowledged, or the registration has ended. None: the replica hasn't
        welcomed this node. For a video that joins before that, which may take long, history is read once it is
        acknowledged."""
        self._interest[video_id] = joined
        if not joined:
            self._totals.pop(video_id, None)
        self._wake.set()
        if self.welcomed:
            return self._next_ack
        if joined and self.unrouted_from_id is None:
            self.unrouted_from_id = first_id_at(self._hello_ms - CLOCKS_APART_MS)
        return None

    def beat(self, beat: dispatch_pb2.Beat) -> None:
        self._beat = beat
        self._wake.set()

    def use_totals(self, use: bool) -> None:
        """use: this replica's numbers of viewers on all nodes are the ones that viewers are sent."""
        if use and not self._uses_totals:
            self._served.set_totals(self._totals)
        self._uses_totals = use

    def end(self) -> None:
        """Ends all waiting for acknowledgements: after the reconnect what is missing is read from history."""
        for ack in (*self._acks.values(), self._next_ack):
            if not ack.done():
                ack.set_result(None)


def video_viewers(viewers: Mapping[str, int]) -> list[dispatch_pb2.VideoViewers]:
    return [dispatch_pb2.VideoViewers(video_id=video_id, viewers=count) for video_id, count in viewers.items()]


def _comment(message: comment_pb2.Comment) -> Comment | Erasure:
    if message.erased_id:
        return Erasure(message.id, message.video_id, message.erased_id)
    author = Author(message.author.id, message.author.name)
    return Comment(message.id, message.video_id, author, message.message, message.created_at_ms)
