"""A node as a replica knows it, from its hello to the end of that registration. Rule: no clock, no gRPC."""

from dataclasses import dataclass, replace

from dispatcher.core.life import LIFE, Event, State
from dispatcher.core.seating import Seats
from dispatcher.core.views import Hello, NodeView


@dataclass(slots=True)
class Node:
    """What it serves stands in interests.py, and changes there."""

    session: int
    hello: Hello  # without its videos
    seats: Seats
    state: State
    connected_ms: int
    heard_ms: int
    missed_since_ms: int

    def lives_through(self, event: Event) -> None:
        self.state = LIFE[self.state][event]

    def view(self, videos: int) -> NodeView:
        """videos: that it serves"""
        return NodeView(
            session=self.session,
            node_id=self.hello.node_id,
            incarnation=self.hello.incarnation,
            public_url=self.hello.public_url,
            state=self.state,
            capacity_viewers=self.seats.capacity,
            viewers=self.seats.viewers,
            promised_viewers=self.seats.promised,
            videos=videos,
            connected_ms=self.connected_ms,
            heard_ms=self.heard_ms,
        )


def connected(session: int, hello: Hello, before: State, missed_since_ms: int, now_ms: int) -> Node:
    """A node that has just said hello. before: its state until then. missed_since_ms: since when it may have missed
    something, as the replica knows; if the node itself has heard nothing for longer, since then."""
    if hello.silent_ms:
        missed_since_ms = min(missed_since_ms, now_ms - hello.silent_ms)
    node = Node(
        session=session,
        hello=replace(hello, videos={}),
        seats=Seats(hello.node_id, hello.capacity_viewers, hello.viewers, draining=hello.draining),
        state=LIFE[before][Event.HELLO],
        connected_ms=now_ms,
        heard_ms=now_ms,
        missed_since_ms=missed_since_ms,
    )
    if hello.draining:
        node.lives_through(Event.DRAIN)
    return node
