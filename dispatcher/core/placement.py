"""Chooses the node that takes the next viewer of a video.

Rule 1: the same answer from every replica with the same state: no clock, no chance, no `hash()`, no order of arrival.
Rule 2: few nodes for each video. Every node that serves it gets each of its events, so a second node for a video
costs one more push for each event.
Rule 3: never a node that is full or drains. Everything else is a preference.

1. A video needs one node for so many viewers of it. Those that serve it stand in an order of their own, the same on
   every replica; the first ones, as many as it needs now, are preferred. So a video that has shrunk gathers again:
   the last ones get no new viewers, and stop serving it when their last viewers leave.
2. Of the preferred ones, the one with the least load. Of a giant's many nodes only a few are looked at (the power of d
   choices: M. Mitzenmacher, 2001), so the cost doesn't grow with the video.
3. When those are nearly full, the others that serve it; and when these are, too, or the video has grown beyond its
   nodes, it spills to one more.
4. The first node, and each one more, is the nearest by hash (seating.py) of those that aren't loaded far above the
   average (V. Mirrokni, M. Thorup, M. Zadimoghaddam, "Consistent hashing with bounded loads", 2016). Nearness doesn't
   depend on the load: loads differ a little from replica to replica, and so would the choices.

A placement is a promise: it counts as load until the node's beats have shown whether the viewer came. Otherwise a
burst between two beats would all go to the node that looked empty.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from dispatcher.core.seating import RING, Seating, points


@dataclass(frozen=True, slots=True)
class PlacementPolicy:
    nearly_full: float  # share of a node's capacity from which a video spills to one more node
    spill_viewers: int  # viewers of one video on each of its nodes from which it spills
    load_bound: float  # a video's next node has at most this many times the average load
    idle_load: float  # share of its capacity under which a node is never called loaded
    looked_at_max: int  # of a video's nodes, how many are compared


@dataclass(frozen=True, slots=True)
class Choice:
    session: int
    spilled: bool  # the video had nodes already, and this is one more


def choose(
    video_id: str,
    serving: Sequence[int],
    seating: Seating,
    viewers: int,
    policy: PlacementPolicy,
    excluded: Collection[str] = (),
) -> Choice | None:
    """The node that takes the next viewer; None if no node has room.

    serving: sessions of the nodes that have the video, or are about to, in the video's own order. viewers: of the
    video, with the promised ones. excluded: node ids that are not to be chosen. Costs some microseconds, unless nearly
    all nodes are full: then all of them may be looked at.
    """
    if not seating.open_nodes:
        return None
    needed = viewers // policy.spill_viewers + 1
    best = _least_loaded(video_id, serving[:needed], seating, viewers, policy, excluded)
    if best is None or seating[best].load >= policy.nearly_full:
        other = _least_loaded(video_id, serving[needed:], seating, viewers, policy, excluded)
        if other is not None and (best is None or seating[other].load < seating[best].load):
            best = other
    if best is not None and needed <= len(serving) and seating[best].load < policy.nearly_full:
        return Choice(best, spilled=False)
    further = _further(video_id, serving, seating, policy, excluded) if len(serving) < len(seating) else None
    if best is None:
        return None if further is None else Choice(further, spilled=bool(serving))
    grown = needed > len(serving)
    if further is not None and (grown or seating[further].load < seating[best].load):
        return Choice(further, spilled=True)
    return Choice(best, spilled=False)


def _least_loaded(
    video_id: str,
    serving: Sequence[int],
    seating: Seating,
    viewers: int,
    policy: PlacementPolicy,
    excluded: Collection[str],
) -> int | None:
    for looked_at in _looked_at(video_id, serving, viewers, policy):
        loads = [
            (seat.load, seat.node_id, session)
            for session in looked_at
            if (seat := seating[session]).is_open and seat.node_id not in excluded
        ]
        if loads:
            return min(loads)[2]
    return None


def _looked_at(video_id: str, serving: Sequence[int], viewers: int, policy: PlacementPolicy) -> Iterable[Sequence[int]]:
    """A few of them, which change with each viewer more; then, if none of those has room, all."""
    if len(serving) > policy.looked_at_max:
        places = points(f"{viewers} {video_id}", policy.looked_at_max)
        yield [serving[place * len(serving) // RING] for place in places]
    yield serving


def _further(
    video_id: str,
    serving: Sequence[int],
    seating: Seating,
    policy: PlacementPolicy,
    excluded: Collection[str],
) -> int | None:
    """The nearest that doesn't serve it yet and isn't loaded. If there is none among the nearest, the next such one
    around the ring; if all are loaded, the next one with room."""
    served = set(serving)
    bound = max(policy.idle_load, policy.load_bound * seating.load)

    def has_room(session: int) -> bool:
        seat = seating[session]
        return seat.is_open and session not in served and seat.node_id not in excluded

    def is_fit(session: int) -> bool:
        return has_room(session) and seating[session].load <= bound

    for session in seating.nearest(video_id):
        if is_fit(session):
            return session
    loaded = None
    for session in seating.around(video_id):
        if is_fit(session):
            return session
        if loaded is None and has_room(session):
            loaded = session
    return loaded


class Promises:
    """Counts placements that no beat has reported yet.

    A viewer needs a moment to arrive, so a promise lasts until the second beat after it. A viewer who arrives before
    that counts twice meanwhile, which errs on the side of free seats.
    """

    def __init__(self, seating: Seating) -> None:
        self._seating = seating
        self._young: dict[int, dict[str, int]] = {}  # session -> video -> promises since the last beat
        self._old: dict[int, dict[str, int]] = {}  # and since the beat before
        self._by_video: dict[str, int] = {}
        self._expected: dict[str, tuple[int, ...]] = {}

    def of_video(self, video_id: str) -> int:
        """How many viewers of the video were promised to any node"""
        return self._by_video.get(video_id, 0)

    def expected(self, video_id: str) -> Collection[int]:
        """The sessions that were promised a viewer of it and don't serve it yet"""
        return self._expected.get(video_id, ())

    def promise(self, session: int, video_id: str, *, serves: bool) -> None:
        young = self._young.setdefault(session, {})
        young[video_id] = young.get(video_id, 0) + 1
        self._by_video[video_id] = self._by_video.get(video_id, 0) + 1
        self._seating.change(session, promised=1)
        expected = self._expected.get(video_id, ())
        if not serves and session not in expected:
            self._expected[video_id] = (*expected, session)

    def joined(self, session: int, video_id: str) -> None:
        """The node serves the video now: it is no longer only expected to."""
        expected = self._expected.get(video_id, ())
        if session not in expected:
            return
        others = tuple(other for other in expected if other != session)
        if others:
            self._expected[video_id] = others
        else:
            del self._expected[video_id]

    def beat(self, session: int) -> None:
        """The node has reported its load: promises from before its last report are over."""
        young = self._young.pop(session, {})
        for video_id, count in self._old.pop(session, {}).items():
            self._seating.change(session, promised=-count)
            self._by_video[video_id] -= count
            if not self._by_video[video_id]:
                del self._by_video[video_id]
            if video_id not in young:
                self.joined(session, video_id)
        if young:
            self._old[session] = young

    def remove(self, session: int) -> None:
        """Ends all promises of a session that is over."""
        self.beat(session)
        self.beat(session)
