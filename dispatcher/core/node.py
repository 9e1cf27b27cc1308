"""Keeps one node's registration, from its hello to its end. Rule: no clock, no gRPC."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from dispatcher.core.life import LIFE, State, Trigger
from dispatcher.core.seating import Seats


@dataclass(frozen=True, slots=True)
class Hello:
    """Everything that a node says of itself when it connects"""

    node_id: str
    incarnation: int
    public_url: str
    capacity_viewers: int
    viewers: int
    videos: Mapping[str, int]  # video -> viewers
    silent_ms: int | None = None  # since the node last heard from this replica; None: it never has
    draining: bool = False


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node as others see it: a copy, which leads to no change of the node"""

    session: int
    node_id: str
    incarnation: int
    public_url: str
    state: State
    capacity_viewers: int
    viewers: int
    promised_viewers: int
    videos: int
    connected_ms: int  # when this registration began
    heard_ms: int  # when the node's last message came


@dataclass(slots=True)
class Node:
    """interests.py knows which videos it serves."""

    session: int
    hello: Hello  # without its videos
    seats: Seats
    state: State
    connected_ms: int
    heard_ms: int
    missed_since_ms: int

    def change(self, trigger: Trigger) -> None:
        """Raises KeyError for what can't happen in this state."""
        self.state = LIFE[self.state][trigger]

    def view(self, videos: int) -> NodeView:
        """videos: how many it serves"""
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
    """A node that has just said hello.

    before: its state until then. missed_since_ms: since when it may have missed events, as far as the replica knows.
    If the node has heard nothing for longer than that, its own silence counts.
    """
    if hello.silent_ms is not None:
        missed_since_ms = min(missed_since_ms, now_ms - hello.silent_ms)
    node = Node(
        session=session,
        hello=replace(hello, videos={}),
        seats=Seats(hello.node_id, hello.capacity_viewers, hello.viewers, draining=hello.draining),
        state=LIFE[before][Trigger.HELLO],
        connected_ms=now_ms,
        heard_ms=now_ms,
        missed_since_ms=missed_since_ms,
    )
    if hello.draining:
        node.change(Trigger.DRAIN)
    return node
