"""Which node takes the next viewer of a video.

Rule 1: the same answer from every replica with the same state: no clock, no chance, no `hash()`, no order of arrival.
Rule 2: few nodes for each video. Every node that serves it gets each of its comments, so a second node for a video
costs a push for each comment, and a first node for a quiet one costs nothing.

1. A node that already serves the video and has room: the one with the least load. Of a giant's many nodes only a few
   are looked at (the power of d choices: M. Mitzenmacher, 2001), so the cost doesn't grow with the video.
2. When those are nearly full, or each of them holds many of the video's viewers, the video spills to one more node.
3. The first node, and each one more, is chosen by weighted rendezvous hashing (D. Thaler, C. Ravishankar, "Using
   name-based mappings to increase hit rates", 1998), the weight being the capacity, among the nodes that are not
   loaded far above the average (V. Mirrokni, M. Thorup, M. Zadimoghaddam, "Consistent hashing with bounded loads",
   2016). The weight is not the load: loads differ a little from replica to replica, and so would the answers.

A placement is a promise: it counts as load until the node's beats have shown whether the viewer came. Otherwise a
burst between two beats would all go to the node that looked empty.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

_HASH_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class PlacementPolicy:
    nearly_full: float  # share of a node's capacity from which a video spills to one more node
    spill_viewers: int  # viewers of one video on each of its nodes from which it spills
    load_bound: float  # a video's next node has at most this many times the average load
    idle_load: float  # share of its capacity under which a node is never called loaded
    looked_at_max: int  # of a video's nodes, how many are compared


@dataclass(slots=True)
class Seats:
    """What placement knows of a node. `promised` belongs to Promises."""

    node_id: str
    capacity: int
    viewers: int
    promised: int = 0
    hash: int = field(init=False)

    def __post_init__(self) -> None:
        # Odd, because it multiplies: an even factor would lose a bit of the video's hash.
        self.hash = stable_hash(self.node_id) | 1

    @property
    def taken(self) -> int:
        return self.viewers + self.promised

    @property
    def load(self) -> float:
        """The share of the capacity that is taken; a node without capacity is full."""
        return self.taken / self.capacity if self.capacity else math.inf


def stable_hash(text: str) -> int:
    """64 bits, the same in every process"""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def choose(
    video_id: str,
    serving: Sequence[int],
    seats: Mapping[int, Seats],
    viewers: int,
    policy: PlacementPolicy,
    excluded: Collection[str] = (),
) -> int | None:
    """The session of the node that takes the next viewer; None if no node has room.

    serving: sessions of the nodes that have the video, or are about to. viewers: of the video, with the promised ones.
    excluded: node ids that are not to be chosen. Costs some microseconds if the video is served; if a further node
    must be found, it looks at all of them.
    """
    best = _least_loaded(video_id, serving, seats, viewers, policy, excluded)
    if best is not None and not _spills(seats[best], len(serving), viewers, policy):
        return best
    further = _rendezvous(video_id, serving, seats, policy, excluded) if len(serving) < len(seats) else None
    return best if further is None else further


def _spills(best: Seats, nodes: int, viewers: int, policy: PlacementPolicy) -> bool:
    return best.load >= policy.nearly_full or viewers >= policy.spill_viewers * nodes


def _least_loaded(
    video_id: str,
    serving: Sequence[int],
    seats: Mapping[int, Seats],
    viewers: int,
    policy: PlacementPolicy,
    excluded: Collection[str],
) -> int | None:
    for looked_at in _looked_at(video_id, serving, viewers, policy):
        loads = [
            (seat.load, seat.node_id, session)
            for session in looked_at
            if (seat := seats[session]).taken < seat.capacity and seat.node_id not in excluded
        ]
        if loads:
            return min(loads)[2]
    return None


def _looked_at(video_id: str, serving: Sequence[int], viewers: int, policy: PlacementPolicy) -> Iterator[Sequence[int]]:
    """A few of them, others with each viewer more; then, if none of those will do, all."""
    if len(serving) > policy.looked_at_max:
        hashed = stable_hash(f"{viewers} {video_id}")
        few = range(policy.looked_at_max)
        yield [serving[(hashed * (2 * i + 1) & _HASH_MASK) * len(serving) >> 64] for i in few]
    yield serving


def _rendezvous(
    video_id: str,
    serving: Sequence[int],
    seats: Mapping[int, Seats],
    policy: PlacementPolicy,
    excluded: Collection[str],
) -> int | None:
    """Of the nodes with room that don't serve it yet, the one whose weighted hash with the video is highest."""
    served = set(serving)
    free: list[tuple[int, Seats, int]] = []
    all_taken = all_capacity = 0
    for session, seat in seats.items():
        taken, capacity = seat.viewers + seat.promised, seat.capacity
        all_taken += taken
        all_capacity += capacity
        if taken < capacity and session not in served and seat.node_id not in excluded:
            free.append((session, seat, taken))
    if not free:
        return None
    bound = max(policy.idle_load, policy.load_bound * all_taken / all_capacity)
    candidates = [each for each in free if each[2] <= bound * each[1].capacity] or free
    video_hash = stable_hash(video_id)
    return max((_score(video_hash, seat), seat.node_id, session) for session, seat, _ in candidates)[2]


def _score(video_hash: int, seat: Seats) -> float:
    """Weighted rendezvous: -weight / ln(u) with u uniform in (0, 1) makes each node win in proportion to its weight."""
    mixed = (video_hash * seat.hash) & _HASH_MASK
    mixed = ((mixed ^ mixed >> 32) * seat.hash) & _HASH_MASK
    return -seat.capacity / math.log(((mixed >> 12) + 0.5) / (1 << 52))


class Promises:
    """Placements that no beat has shown yet.

    A viewer needs a moment to arrive: a promise lasts until the second beat after it. Until then one that has arrived
    counts twice, which errs on the side of a free seat.
    """

    def __init__(self, seats: Mapping[int, Seats]) -> None:
        self._seats = seats
        self._young: dict[int, dict[str, int]] = {}  # session -> video -> promises since the last beat
        self._old: dict[int, dict[str, int]] = {}  # and since the beat before
        self._by_video: dict[str, int] = {}
        self._expected: dict[str, dict[int, None]] = {}

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
        self._seats[session].promised += 1
        if not serves:
            self._expected.setdefault(video_id, {})[session] = None

    def joined(self, session: int, video_id: str) -> None:
        """The node serves the video now: it is no longer only expected to."""
        expected = self._expected.get(video_id)
        if expected is not None:
            expected.pop(session, None)
            if not expected:
                del self._expected[video_id]

    def beat(self, session: int) -> None:
        """The node has reported its load: promises from before its last report are over."""
        young = self._young.pop(session, {})
        for video_id, count in self._old.pop(session, {}).items():
            self._seats[session].promised -= count
            self._by_video[video_id] -= count
            if not self._by_video[video_id]:
                del self._by_video[video_id]
            if video_id not in young:
                self.joined(session, video_id)
        if young:
            self._old[session] = young

    def forget(self, session: int) -> None:
        """The session has ended."""
        self.beat(session)
        self.beat(session)
