"""Who is connected, what each node serves, and until when that is believed.

Rule 1: no clock in here. `now_ms` comes in: milliseconds since 1970, from a clock that never steps back.
Rule 2: no gRPC in here. A stream is a session, a number that the caller gives and never gives again.
Rule 3: nothing is kept that a node would not say again after a reconnect, but for one thing: when it was last
here, so that it can be told what it may have missed.
"""

import heapq
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from dispatcher.errors import Aborted, LimitReached
from dispatcher.life import LIFE, Event, State
from dispatcher.missed import Missed
from dispatcher.placement import Choice, PlacementPolicy, Promises, choose
from dispatcher.seating import Seating, Seats, rank
from dispatcher.views import Hello, NodeView, Placement, RegistryStatistics, VideoView


@dataclass(frozen=True, slots=True)
class Policy:
    """The numbers that the registry decides by; dispatcher/config.py has the reasons."""

    lease_ms: int
    beat_ms: int
    nodes_max: int
    videos_per_node_max: int
    recent_s: int
    placement: PlacementPolicy


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
    sums: dict[str, int] = field(default_factory=dict)  # viewers on all nodes, as it hasn't been told yet


@dataclass(slots=True)
class _Video:
    route: tuple[int, ...] = ()  # in the video's own order of nodes (seating.rank): the same on every replica
    viewers: int = 0


class Registry:
    def __init__(self, policy: Policy, started_ms: int) -> None:
        self._policy = policy
        self._nodes: dict[int, _Node] = {}
        self._seating = Seating()
        self._sessions: dict[str, int] = {}
        self._videos: dict[str, _Video] = {}
        self._counted: set[str] = set()  # videos whose number of viewers has changed since the nodes were told
        self._missed = Missed(policy.recent_s, policy.beat_ms, policy.nodes_max, started_ms)
        self._promises = Promises(self._seating)
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

    def beat(self, session: int, viewers: int, videos: Mapping[str, int], now_ms: int, draining: bool = False) -> bool:
        """The node's load, and the videos whose number of viewers has changed. False: the session is over."""
        node = self._heard(session, now_ms)
        if node is None:
            return False
        node.state = LIFE[node.state][Event.DRAIN if draining else Event.UNDRAIN]
        self._seating.change(session, viewers=viewers, draining=draining)
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
        self._missed.forget(now_ms)
        self._spread_sums()
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
        """Comments from this id on went through here now, or were given up with a link: see Missed.published."""
        self._missed.published(smallest_id, now_ms)

    def catch_up_from(self, session: int, now_ms: int) -> int:
        """From which id on may the node have missed comments before this registration? 0: it has missed nothing.

        Nothing if it serves no video. Else what Missed.came says; and if the node itself has been silent for longer
        than that, then since its silence.
        """
        node = self._nodes[session]
        if not node.videos:
            return 0
        since_ms = node.missed_since_ms
        if node.hello.silent_ms:
            since_ms = min(since_ms, node.connected_ms - node.hello.silent_ms)
        return self._missed.catch_up_from(since_ms, now_ms)

    # Placement

    def place(self, video_id: str, excluded: Collection[str] = ()) -> Placement | None:
        """The node that takes the next viewer of the video; it counts as load from now on. None: no node has room."""
        choice = self._choose(video_id, excluded)
        if choice is None:
            return None
        node = self._nodes[choice.session]
        self._promises.promise(choice.session, video_id, serves=video_id in node.videos)
        return Placement(_view(node), choice.spilled)

    def would_place(self, video_id: str) -> NodeView | None:
        """The answer that `place` would give; nothing changes."""
        choice = self._choose(video_id, ())
        return None if choice is None else _view(self._nodes[choice.session])

    def _choose(self, video_id: str, excluded: Collection[str]) -> Choice | None:
        video = self._videos.get(video_id)
        serving = video.route if video else ()
        expected = self._promises.expected(video_id)
        viewers = (video.viewers if video else 0) + self._promises.of_video(video_id)
        return choose(
            video_id,
            (*serving, *expected) if expected else serving,
            self._seating,
            viewers,
            self._policy.placement,
            excluded,
        )

    # Viewers of a video on all nodes together

    def sums(self, session: int, count: int) -> dict[str, int]:
        """Viewers on all nodes of at most so many of the node's videos: of those whose number has changed since they
        were last asked for. As it was at the last `expire`, so that a giant's many changes cost one."""
        node = self._nodes.get(session)
        if node is None:
            return {}
        if len(node.sums) <= count:
            sums, node.sums = node.sums, {}
            return sums
        return {video_id: node.sums.pop(video_id) for video_id in tuple(node.sums)[:count]}

    def _spread_sums(self) -> None:
        counted, self._counted = self._counted, set()
        for video_id in counted:
            if video := self._videos.get(video_id):
                for session in video.route:
                    self._nodes[session].sums[video_id] = video.viewers

    # What operators, tests and metrics read

    def statistics(self) -> RegistryStatistics:
        seats = tuple(self._seating)
        return RegistryStatistics(
            nodes=len(self._nodes),
            draining_nodes=sum(seat.draining for seat in seats),
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

    def session(self, node_id: str) -> int | None:
        """None if it isn't connected"""
        return self._sessions.get(node_id)

    def state(self, session: int) -> State:
        node = self._nodes.get(session)
        return node.state if node else State.ABSENT

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
        state = LIFE[state][Event.HELLO]
        seats = Seats(hello.node_id, hello.capacity_viewers, hello.viewers, draining=hello.draining)
        node = _Node(
            session=session,
            hello=replace(hello, videos={}),  # they change; `videos` below has them
            seats=seats,
            connected_ms=now_ms,
            heard_ms=now_ms,
            missed_since_ms=self._missed.came(hello.node_id, hello.incarnation),
            state=LIFE[state][Event.DRAIN] if hello.draining else state,
        )
        self._nodes[session] = node
        self._seating.add(session, seats)
        self._sessions[hello.node_id] = session
        for video_id, viewers in hello.videos.items():
            self._join(node, video_id)
            self._count(node, video_id, viewers)

    def _remove(self, node: _Node, event: Event, now_ms: int) -> None:
        node.state = LIFE[node.state][event]
        for video_id in tuple(node.videos):
            self._leave(node, video_id)
        self._promises.forget(node.session)
        self._seating.remove(node.session)
        del self._nodes[node.session], self._sessions[node.hello.node_id]
        self._missed.left(node.hello.node_id, node.hello.incarnation, now_ms)

    def _join(self, node: _Node, video_id: str) -> None:
        if video_id in node.videos:
            return
        node.videos[video_id] = 0
        self._interests += 1
        video = self._videos.setdefault(video_id, _Video())
        at = 0
        if video.route:
            ranked = rank(video_id, node.hello.node_id)
            at = bisect_left(video.route, ranked, key=lambda s: rank(video_id, self._nodes[s].hello.node_id))
        video.route = (*video.route[:at], node.session, *video.route[at:])
        node.sums[video_id] = video.viewers
        self._promises.joined(node.session, video_id)

    def _leave(self, node: _Node, video_id: str) -> None:
        if video_id not in node.videos:
            return
        video = self._videos[video_id]
        video.viewers -= node.videos.pop(video_id)
        node.sums.pop(video_id, None)
        self._counted.add(video_id)
        self._interests -= 1
        at = video.route.index(node.session)
        video.route = (*video.route[:at], *video.route[at + 1 :])
        if not video.route:
            del self._videos[video_id]

    def _count(self, node: _Node, video_id: str, viewers: int) -> None:
        if node.videos.get(video_id, viewers) != viewers:
            self._videos[video_id].viewers += viewers - node.videos[video_id]
            node.videos[video_id] = viewers
            self._counted.add(video_id)

    def _check_videos(self, videos: int) -> None:
        if videos > self._policy.videos_per_node_max:
            raise LimitReached(f"a node may serve at most {self._policy.videos_per_node_max} videos here")

    def _video_view(self, video_id: str, video: _Video) -> VideoView:
        return VideoView(video_id, video.viewers, tuple(sorted(self._nodes[s].hello.node_id for s in video.route)))


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
