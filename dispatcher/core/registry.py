"""Registers the connected nodes, each under a lease, with the videos that it serves and the viewers placed on it.

Rule 1: no clock in here. `now_ms` comes in: milliseconds since 1970, from a clock that never steps back.
Rule 2: no gRPC in here. A stream is a session: a number that the caller chooses, and uses for no other stream.
Rule 3: the registry keeps what each node says again after a reconnect, and one thing more: when the node was here last,
to find out what it may have missed.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from dispatcher.core.errors import Aborted, LimitReached
from dispatcher.core.interests import Interests
from dispatcher.core.life import State, Trigger
from dispatcher.core.missed import Missed
from dispatcher.core.node import Hello, Node, NodeView, connected
from dispatcher.core.placement import Choice, PlacementPolicy, Promises, choose
from dispatcher.core.seating import Seating


@dataclass(frozen=True, slots=True)
class RegistryLimits:
    """dispatcher/config.py has the reasons for these numbers."""

    lease_ms: int
    beat_ms: int
    nodes_max: int
    videos_per_node_max: int
    recent_s: int
    ids_behind_ms_max: int
    placement: PlacementPolicy


@dataclass(frozen=True, slots=True)
class Placement:
    node: NodeView
    spilled: bool  # the video had nodes already, and this is one more


@dataclass(frozen=True, slots=True)
class RegistryStatistics:
    nodes: int
    draining_nodes: int
    videos: int
    interests: int  # pairs of a video and a node that serves it
    viewers: int
    capacity_viewers: int
    promised_viewers: int


class Registry:
    def __init__(self, limits: RegistryLimits, started_ms: int) -> None:
        self._limits = limits
        self.interests = Interests()
        """what the living nodes serve; for reading only, as the registry changes it"""
        self._nodes: dict[int, Node] = {}
        self._seating = Seating()
        self._sessions: dict[str, int] = {}
        self._missed = Missed(
            recent_s=limits.recent_s,
            lease_ms=limits.lease_ms,
            beat_ms=limits.beat_ms,
            gone_max=limits.nodes_max,
            ids_behind_ms=limits.ids_behind_ms_max,
            started_ms=started_ms,
        )
        self._promises = Promises(self._seating)
        self._looked_ms = self._awake_since_ms = started_ms

    # A node comes, speaks and goes

    def hello(self, session: int, hello: Hello, now_ms: int) -> int | None:
        """Begins a registration. Returns the session that it replaces, which is over now, or None.

        Raises Aborted if a newer incarnation of the same node is connected, LimitReached if there are too many nodes or
        videos; then nothing has changed.
        """
        session_before = self._sessions.get(hello.node_id)
        before = None if session_before is None else self._nodes[session_before]
        if before and hello.incarnation < before.hello.incarnation:
            raise Aborted(
                f"a newer incarnation of this node is connected: incarnation {before.hello.incarnation}, yours is "
                f"{hello.incarnation}"
            )
        if before is None and len(self._nodes) >= self._limits.nodes_max:
            raise LimitReached(f"this replica takes at most {self._limits.nodes_max} nodes")
        self._check_videos(len(hello.videos))
        if before:
            self._remove(before, Trigger.HELLO, now_ms)
        self._add(session, hello, before.state if before else State.ABSENT, now_ms)
        return before.session if before else None

    def beat(self, session: int, viewers: int, videos: Mapping[str, int], now_ms: int, draining: bool = False) -> bool:
        """The node's load, and the videos whose number of viewers has changed. False: the session is over."""
        node = self._heard(session, now_ms)
        if node is None:
            return False
        node.change(Trigger.DRAIN if draining else Trigger.UNDRAIN)
        self._seating.change(session, viewers=viewers, draining=draining)
        self._promises.beat(session)
        self.interests.count(session, videos)
        return True

    def interest(self, session: int, joined: Iterable[str], left: Iterable[str], now_ms: int) -> bool:
        """Joins and leaves videos; one that is in both is joined. False: the session is over.

        Raises LimitReached if the node would serve too many videos; then nothing has changed.
        """
        node = self._heard(session, now_ms)
        if node is None:
            return False
        joining, leaving = set(joined), set(left) - set(joined)
        before = self.interests.videos_of(session)
        more = sum(video_id not in before for video_id in joining)
        fewer = sum(video_id in before for video_id in leaving)
        self._check_videos(len(before) + more - fewer)
        for video_id in leaving:
            self.interests.leave(session, video_id)
        for video_id in joining:
            self._join(session, video_id)
        return True

    def heard(self, session: int, now_ms: int) -> bool:
        """Another message came from the node, which keeps its lease. False: the session is over."""
        return self._heard(session, now_ms) is not None

    def end(self, session: int, now_ms: int) -> bool:
        """The stream has ended. False: the session was over before."""
        return self._end(session, Trigger.END, now_ms)

    def expired(self, now_ms: int) -> tuple[int, ...]:
        """The sessions whose lease has run out, which the caller ends with `expire`. Call it every `beat_ms`.

        If it wasn't called for much longer than that, this replica itself was stopped and heard nobody: then every
        node has a whole lease from now on.
        """
        if now_ms - self._looked_ms > 2 * self._limits.beat_ms:
            self._awake_since_ms = now_ms
        self._looked_ms = now_ms
        believed_ms = now_ms - self._limits.lease_ms
        if self._awake_since_ms >= believed_ms:
            return ()
        return tuple(node.session for node in self._nodes.values() if node.heard_ms < believed_ms)

    def expire(self, session: int, now_ms: int) -> bool:
        """The lease has run out. False: the session was over before."""
        return self._end(session, Trigger.EXPIRE, now_ms)

    def housekeep(self, now_ms: int) -> None:
        """Drops what is too old, and makes changed sums ready for the nodes. Call it every `beat_ms`."""
        self._missed.purge(now_ms)
        self.interests.spread()

    # Comments

    def published(self, smallest_id: int, now_ms: int) -> None:
        """Events from this id on were published, or not delivered, now: see Missed.published."""
        self._missed.published(smallest_id, now_ms)

    def catch_up_from(self, session: int, now_ms: int) -> int | None:
        """The id from which the node must read history: it may have missed events before this registration.

        None: it has missed nothing, or serves no video. Missed.came says since when; or the node's own silence, if that
        is longer.
        """
        if not self.interests.videos_of(session):
            return None
        return self._missed.catch_up_from(self._nodes[session].missed_since_ms, now_ms)

    # Placement

    def place(self, video_id: str, excluded: Collection[str] = ()) -> Placement | None:
        """The node that takes the next viewer of the video; None if no node has room.

        The viewer counts as load of that node from now on.
        """
        choice = self._choose(video_id, excluded)
        if choice is None:
            return None
        self._promises.promise(choice.session, video_id, serves=video_id in self.interests.videos_of(choice.session))
        return Placement(self._view(choice.session), choice.spilled)

    def would_place(self, video_id: str) -> NodeView | None:
        """The node that `place` would choose; nothing changes."""
        choice = self._choose(video_id, ())
        return None if choice is None else self._view(choice.session)

    def _choose(self, video_id: str, excluded: Collection[str]) -> Choice | None:
        serving = self.interests.route(video_id)
        expected = self._promises.expected(video_id)
        viewers = self.interests.viewers(video_id) + self._promises.of_video(video_id)
        return choose(
            video_id,
            (*serving, *expected) if expected else serving,
            self._seating,
            viewers,
            self._limits.placement,
            excluded,
        )

    # What operators, tests and metrics read

    def statistics(self) -> RegistryStatistics:
        seats = tuple(self._seating)
        return RegistryStatistics(
            nodes=len(self._nodes),
            draining_nodes=sum(seat.draining for seat in seats),
            videos=self.interests.videos,
            interests=len(self.interests),
            viewers=sum(seat.viewers for seat in seats),
            capacity_viewers=sum(seat.capacity for seat in seats),
            promised_viewers=sum(seat.promised for seat in seats),
        )

    def nodes(self) -> tuple[NodeView, ...]:
        """All living nodes, by node id"""
        return tuple(self._view(session) for _, session in sorted(self._sessions.items()))

    def session(self, node_id: str) -> int | None:
        """None if it isn't connected"""
        return self._sessions.get(node_id)

    def state(self, session: int) -> State:
        node = self._nodes.get(session)
        return node.state if node else State.ABSENT

    # Inside

    def _end(self, session: int, trigger: Trigger, now_ms: int) -> bool:
        node = self._nodes.get(session)
        if node is None:
            return False
        self._remove(node, trigger, now_ms)
        return True

    def _heard(self, session: int, now_ms: int) -> Node | None:
        node = self._nodes.get(session)
        if node is not None:
            node.heard_ms = now_ms
        return node

    def _add(self, session: int, hello: Hello, state: State, now_ms: int) -> None:
        missed_since_ms = self._missed.came(hello.node_id, hello.incarnation)
        node = connected(session, hello, state, missed_since_ms, now_ms)
        self._nodes[session] = node
        self._seating.add(session, node.seats)
        self._sessions[hello.node_id] = session
        self.interests.add(session, hello.node_id)
        for video_id in hello.videos:
            self._join(session, video_id)
        self.interests.count(session, hello.videos)

    def _remove(self, node: Node, trigger: Trigger, now_ms: int) -> None:
        node.change(trigger)
        self.interests.remove(node.session)
        self._promises.remove(node.session)
        self._seating.remove(node.session)
        del self._nodes[node.session], self._sessions[node.hello.node_id]
        self._missed.left(node.hello.node_id, node.hello.incarnation, now_ms)

    def _join(self, session: int, video_id: str) -> None:
        if video_id not in self.interests.videos_of(session):
            self.interests.join(session, video_id)
            self._promises.joined(session, video_id)

    def _check_videos(self, videos: int) -> None:
        if videos > self._limits.videos_per_node_max:
            raise LimitReached(f"a node may serve at most {self._limits.videos_per_node_max} videos here")

    def _view(self, session: int) -> NodeView:
        return self._nodes[session].view(len(self.interests.videos_of(session)))
