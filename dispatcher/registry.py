"""Who is connected, what each node serves, and until when that is believed.

Rule 1: no clock in here. `now_ms` comes in: milliseconds since 1970, from a clock that never steps back.
Rule 2: no gRPC in here. A stream is a session, a number that the caller gives and never gives again.
Rule 3: nothing is kept that a node would not say again after a reconnect, but for one thing: when it was last
here, so that it can be told what it may have missed.

A node's life at this replica. A row is a state, a column an event; an empty field can't happen. What is not in the
table is no state of a node but of a session: a session that isn't its node's current one is over, and whatever still
comes from it changes nothing.

| state  | hello                              | end of the stream | lease runs out |
|--------|------------------------------------|-------------------|----------------|
| absent | live                               |                   |                |
| live   | live (the session before is over)  | absent            | absent         |
"""

import enum
import heapq
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from dispatcher.errors import Aborted, LimitReached
from dispatcher.placement import PlacementPolicy, Promises, Seats, choose
from dispatcher.recent import Recent


class State(enum.Enum):
    ABSENT = "absent"
    LIVE = "live"


class Event(enum.Enum):
    HELLO = "hello"
    END = "end"
    EXPIRE = "expire"


LIFE: Mapping[State, Mapping[Event, State]] = {
    State.ABSENT: {Event.HELLO: State.LIVE},
    State.LIVE: {Event.HELLO: State.LIVE, Event.END: State.ABSENT, Event.EXPIRE: State.ABSENT},
}


@dataclass(frozen=True, slots=True)
class Policy:
    """The numbers that the registry decides by; dispatcher/config.py has the reasons."""

    lease_ms: int
    beat_ms: int
    nodes_max: int
    videos_per_node_max: int
    recent_s: int
    placement: PlacementPolicy


@dataclass(frozen=True, slots=True)
class Hello:
    """A node's full picture of itself"""

    node_id: str
    incarnation: int
    public_url: str
    capacity_viewers: int
    viewers: int
    videos: Mapping[str, int]  # video -> viewers
    silent_ms: int = 0


@dataclass(frozen=True, slots=True)
class NodeView:
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


@dataclass(frozen=True, slots=True)
class VideoView:
    video_id: str
    viewers: int
    node_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RegistryStatistics:
    nodes: int
    videos: int
    interests: int  # pairs of a video and a node that serves it
    viewers: int
    capacity_viewers: int
    promised_viewers: int


@dataclass(slots=True)
class _Node:
    session: int
    hello: Hello
    seats: Seats
    connected_ms: int
    heard_ms: int
    missed_since_ms: int
    state: State = State.ABSENT
    videos: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Video:
    route: tuple[int, ...] = ()  # in the order of node ids: the same on every replica
    viewers: int = 0


@dataclass(frozen=True, slots=True)
class _Gone:
    incarnation: int
    ended_ms: int


class Registry:
    def __init__(self, policy: Policy, started_ms: int) -> None:
        self._policy = policy
        self._started_ms = started_ms
        self._nodes: dict[int, _Node] = {}
        self._seats: dict[int, Seats] = {}
        self._sessions: dict[str, int] = {}
        self._videos: dict[str, _Video] = {}
        self._gone: dict[str, _Gone] = {}  # in the order in which they went
        self._recent = Recent(policy.recent_s, started_ms)
        self._promises = Promises(self._seats)
        self._interests = 0
        self._looked_ms = self._awake_since_ms = started_ms

    # A node comes, speaks and goes

    def hello(self, session: int, hello: Hello, now_ms: int) -> int | None:
        """Begins a registration. Returns the session that it replaces, which is over now, or None.

        Raises Aborted if a younger life of the same node is connected, LimitReached if there are too many nodes or
        videos; then nothing has changed.
        """
        before = self._nodes.get(self._sessions.get(hello.node_id, -1))
        if before and hello.incarnation < before.hello.incarnation:
            raise Aborted(
                f"a younger life of this node is connected: incarnation {before.hello.incarnation}, yours is "
                f"{hello.incarnation}"
            )
        if before is None and len(self._nodes) >= self._policy.nodes_max:
            raise LimitReached(f"this replica takes at most {self._policy.nodes_max} nodes")
        self._check_videos(len(hello.videos))
        if before:
            self._remove(before, Event.HELLO, now_ms)
        self._add(session, hello, before.state if before else State.ABSENT, now_ms)
        return before.session if before else None

    def beat(self, session: int, viewers: int, videos: Mapping[str, int], now_ms: int) -> bool:
        """The node's load, and the videos whose number of viewers has changed. False: the session is over."""
        node = self._heard(session, now_ms)
        if node is None:
            return False
        node.seats.viewers = viewers
        self._promises.beat(session)
        for video_id, watching in videos.items():
            self._count(node, video_id, watching)
        return True

    def interest(self, session: int, joined: Iterable[str], left: Iterable[str], now_ms: int) -> bool:
        """Joins and leaves videos; one that is in both is joined. False: the session is over.

        Raises LimitReached if the node would serve too many videos; then nothing has changed.
        """
        node = self._heard(session, now_ms)
        if node is None:
            return False
        joining, leaving = set(joined), set(left) - set(joined)
        more = sum(video_id not in node.videos for video_id in joining)
        fewer = sum(video_id in node.videos for video_id in leaving)
        self._check_videos(len(node.videos) + more - fewer)
        for video_id in leaving:
            self._leave(node, video_id)
        for video_id in joining:
            self._join(node, video_id)
        return True

    def heard(self, session: int, now_ms: int) -> bool:
        """Anything else came from the node: it lives. False: the session is over."""
        return self._heard(session, now_ms) is not None

    def end(self, session: int, now_ms: int) -> bool:
        """The stream has ended. False: the session was over before."""
        node = self._nodes.get(session)
        if node is None:
            return False
        self._remove(node, Event.END, now_ms)
        return True

    def expire(self, now_ms: int) -> tuple[int, ...]:
        """Ends the registrations whose lease has run out, and returns their sessions. Call it every `beat_ms`.

        If it wasn't called for much longer than that, this replica itself was stopped and heard nobody: then every
        node has a whole lease from now on.
        """
        if now_ms - self._looked_ms > 2 * self._policy.beat_ms:
            self._awake_since_ms = now_ms
        self._looked_ms = now_ms
        believed_ms = now_ms - self._policy.lease_ms
        expired: list[_Node] = []
        if self._awake_since_ms < believed_ms:
            expired = [node for node in self._nodes.values() if node.heard_ms < believed_ms]
        for node in expired:
            self._remove(node, Event.EXPIRE, now_ms)
        self._forget_gone(now_ms)
        return tuple(node.session for node in expired)

    # Comments

    def route(self, video_id: str) -> tuple[int, ...]:
        """The sessions of exactly the living nodes that serve the video"""
        video = self._videos.get(video_id)
        return video.route if video else ()

    def sessions(self) -> tuple[int, ...]:
        """The sessions of all living nodes"""
        return tuple(self._nodes)

    def published(self, smallest_id: int, now_ms: int) -> None:
        """Comments from this id on went through here now, or were given up with the link that should have had them.

        The second matters as much as the first: a link's end answers its publishers, so nobody sends those comments
        again, and their node must find them in what it has missed.
        """
        self._recent.published(smallest_id, now_ms)

    def catch_up_from(self, session: int, now_ms: int) -> int:
        """From which id on may the node have missed comments before this registration? 0: it has missed nothing.

        - It serves no video: nothing.
        - The same life of the node was here before: what was published since that registration ended. The replica's
          own word counts: a node that was stopped for a while believes that it has heard everything.
        - Else all since this replica's start. What a dead replica had not delivered was never acknowledged, so it
          was sent again elsewhere.
        - If the node has been silent for longer than that, with one beat to spare, then since its silence.
        """
        node = self._nodes[session]
        if not node.videos:
            return 0
        since_ms = node.missed_since_ms
        if node.hello.silent_ms:
            since_ms = min(since_ms, node.connected_ms - node.hello.silent_ms)
        return self._recent.smallest_since(since_ms - self._policy.beat_ms, now_ms)

    # Placement

    def place(self, video_id: str, excluded: Collection[str] = ()) -> NodeView | None:
        """The node that takes the next viewer of the video; it counts as load from now on. None: no node has room."""
        video = self._videos.get(video_id)
        serving = (*(video.route if video else ()), *self._promises.expected(video_id))
        viewers = (video.viewers if video else 0) + self._promises.of_video(video_id)
        session = choose(video_id, serving, self._seats, viewers, self._policy.placement, excluded)
        if session is None:
            return None
        node = self._nodes[session]
        self._promises.promise(session, video_id, serves=video_id in node.videos)
        return _view(node)

    # What operators, tests and metrics read

    def statistics(self) -> RegistryStatistics:
        seats = self._seats.values()
        return RegistryStatistics(
            nodes=len(self._nodes),
            videos=len(self._videos),
            interests=self._interests,
            viewers=sum(seat.viewers for seat in seats),
            capacity_viewers=sum(seat.capacity for seat in seats),
            promised_viewers=sum(seat.promised for seat in seats),
        )

    def nodes(self) -> tuple[NodeView, ...]:
        """All living nodes, by node id"""
        return tuple(_view(self._nodes[session]) for _, session in sorted(self._sessions.items()))

    def video(self, video_id: str) -> VideoView | None:
        """None if nobody serves it"""
        video = self._videos.get(video_id)
        return self._video_view(video_id, video) if video else None

    def videos(self, count: int) -> tuple[VideoView, ...]:
        """Those with the most viewers, most first. Looks at every video: for operators, not for every comment."""
        most = heapq.nsmallest(count, self._videos.items(), key=lambda item: (-item[1].viewers, item[0]))
        return tuple(self._video_view(video_id, video) for video_id, video in most)

    def videos_of(self, session: int) -> frozenset[str]:
        """What the session's node serves; empty if the session is over"""
        node = self._nodes.get(session)
        return frozenset(node.videos) if node else frozenset()

    # Inside

    def _heard(self, session: int, now_ms: int) -> _Node | None:
        node = self._nodes.get(session)
        if node is not None:
            node.heard_ms = now_ms
        return node

    def _add(self, session: int, hello: Hello, state: State, now_ms: int) -> None:
        gone = self._gone.pop(hello.node_id, None)
        known = gone is not None and gone.incarnation == hello.incarnation
        seats = Seats(hello.node_id, hello.capacity_viewers, hello.viewers)
        node = _Node(
            session=session,
            hello=replace(hello, videos={}),  # they change; `videos` below has them
            seats=seats,
            connected_ms=now_ms,
            heard_ms=now_ms,
            missed_since_ms=gone.ended_ms if gone and known else self._started_ms,
            state=LIFE[state][Event.HELLO],
        )
        self._nodes[session] = node
        self._seats[session] = seats
        self._sessions[hello.node_id] = session
        for video_id, viewers in hello.videos.items():
            self._join(node, video_id)
            self._count(node, video_id, viewers)

    def _remove(self, node: _Node, event: Event, now_ms: int) -> None:
        node.state = LIFE[node.state][event]
        for video_id in tuple(node.videos):
            self._leave(node, video_id)
        self._promises.forget(node.session)
        del self._nodes[node.session], self._seats[node.session], self._sessions[node.hello.node_id]
        self._gone[node.hello.node_id] = _Gone(node.hello.incarnation, now_ms)

    def _forget_gone(self, now_ms: int) -> None:
        """Forgets who went before the ring of recent ids begins, and the first of too many."""
        since_ms = now_ms - self._policy.recent_s * 1000
        while self._gone:
            node_id, gone = next(iter(self._gone.items()))
            if gone.ended_ms >= since_ms and len(self._gone) <= self._policy.nodes_max:
                break
            del self._gone[node_id]

    def _join(self, node: _Node, video_id: str) -> None:
        if video_id in node.videos:
            return
        node.videos[video_id] = 0
        self._interests += 1
        video = self._videos.setdefault(video_id, _Video())
        at = bisect_left(video.route, node.hello.node_id, key=lambda session: self._nodes[session].hello.node_id)
        video.route = (*video.route[:at], node.session, *video.route[at:])
        self._promises.joined(node.session, video_id)

    def _leave(self, node: _Node, video_id: str) -> None:
        if video_id not in node.videos:
            return
        video = self._videos[video_id]
        video.viewers -= node.videos.pop(video_id)
        self._interests -= 1
        at = video.route.index(node.session)
        video.route = (*video.route[:at], *video.route[at + 1 :])
        if not video.route:
            del self._videos[video_id]

    def _count(self, node: _Node, video_id: str, viewers: int) -> None:
        if video_id in node.videos:
            self._videos[video_id].viewers += viewers - node.videos[video_id]
            node.videos[video_id] = viewers

    def _check_videos(self, videos: int) -> None:
        if videos > self._policy.videos_per_node_max:
            raise LimitReached(f"a node may serve at most {self._policy.videos_per_node_max} videos here")

    def _video_view(self, video_id: str, video: _Video) -> VideoView:
        return VideoView(video_id, video.viewers, tuple(self._nodes[session].hello.node_id for session in video.route))


def _view(node: _Node) -> NodeView:
    return NodeView(
        session=node.session,
        node_id=node.hello.node_id,
        incarnation=node.hello.incarnation,
        public_url=node.hello.public_url,
        state=node.state,
        capacity_viewers=node.seats.capacity,
        viewers=node.seats.viewers,
        promised_viewers=node.seats.promised,
        videos=len(node.videos),
        connected_ms=node.connected_ms,
        heard_ms=node.heard_ms,
    )
