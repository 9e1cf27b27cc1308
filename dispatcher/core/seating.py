"""Counts the seats of each node and of all nodes together, and finds the nodes that are nearest to a video.

Rule: the same result from every replica with the same state: no clock, no chance, no `hash()`, no order of arrival.

A video's candidates are found by multi-probe consistent hashing (B. Appleton, M. O'Reilly, "Multi-probe consistent
hashing", 2015): nodes are points on a ring, the video is hashed to 7 places, and the point that follows one of them
most closely wins. Distances are divided by the capacity, so each node wins in proportion to it. When a node goes, only
the videos that it had won move; one that comes takes only those that it wins. A look-up costs 7 short searches, however
many nodes there are: 10 us among 1,300, where comparing all of them took 1 ms.

The paper gives each node one point and each key 21 places. With 32 points each, 7 places share as evenly, for a third
of the time: what is uneven among 1,300 equal nodes is nearly all chance (docs/decisions, page 0202).
"""

import math
import struct
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import shake_128

RING = 1 << 64
POINTS = 32
PROBES = 7

_SLOTS = 4096  # each with ten points of 1,300 nodes
_SLOT_SHIFT = 52
_LOOKS = 100  # after these a table of the slots pays: it costs 2 ms, and each look-up without it some us more


@dataclass(slots=True)
class Seats:
    """One node's seats. Only Seating changes them, as it counts them."""

    node_id: str
    capacity: int
    viewers: int
    promised: int = 0
    draining: bool = False

    @property
    def taken(self) -> int:
        return self.viewers + self.promised

    @property
    def is_open(self) -> bool:
        """May a viewer be placed here?"""
        return self.viewers + self.promised < self.capacity and not self.draining

    @property
    def load(self) -> float:
        """The share of the capacity that is taken; a node without capacity is full."""
        return self.taken / self.capacity if self.capacity else math.inf


class Seating:
    """All nodes' seats, by session"""

    def __init__(self) -> None:
        self._seats: dict[int, Seats] = {}
        # Arrays and not lists: all of 1,300 nodes' points lie in a few hundred KB, which stay in the processor's cache.
        self._points = array("Q")  # ascending; the owner and the capacity of each stand at the same index
        self._owners = array("Q")
        self._capacities = array("Q")
        self._begins = array("I")  # where each slot of the ring begins among the points; see _slots
        self._looks = 0  # since a node has come or gone
        self.viewers = self.promised = self.capacity = 0
        """of all nodes that don't drain"""
        self.open_nodes = 0

    def __len__(self) -> int:
        return len(self._seats)

    def __getitem__(self, session: int) -> Seats:
        return self._seats[session]

    def __iter__(self) -> Iterator[Seats]:
        return iter(self._seats.values())

    def add(self, session: int, seats: Seats) -> None:
        self._seats[session] = seats
        self._count(seats, +1)
        self._changed()
        for point in points(seats.node_id, POINTS):
            at = bisect_left(self._points, point)
            self._points.insert(at, point)
            self._owners.insert(at, session)
            self._capacities.insert(at, seats.capacity or 1)

    def remove(self, session: int) -> None:
        seats = self._seats.pop(session)
        self._count(seats, -1)
        self._changed()
        for point in points(seats.node_id, POINTS):
            at = bisect_left(self._points, point)
            del self._points[at], self._owners[at], self._capacities[at]

    def change(
        self, session: int, *, viewers: int | None = None, promised: int = 0, draining: bool | None = None
    ) -> None:
        """viewers, draining: as they are now. promised: so many more."""
        seats = self._seats[session]
        self._count(seats, -1)
        seats.viewers = seats.viewers if viewers is None else viewers
        seats.draining = seats.draining if draining is None else draining
        seats.promised += promised
        self._count(seats, +1)

    @property
    def load(self) -> float:
        """The share of all capacity that is taken, of the nodes that don't drain"""
        return (self.viewers + self.promised) / self.capacity if self.capacity else math.inf

    def nearest(self, video_id: str) -> list[int]:
        """The sessions that the video is hashed to, the nearest first"""
        ring, capacities, count = self._points, self._capacities, len(self._points)
        begins = self._slots()
        found = []
        for place in points(video_id, PROBES) if count else ():
            slot = place >> _SLOT_SHIFT
            at = bisect_left(ring, place, begins[slot], begins[slot + 1]) if begins else bisect_left(ring, place)
            if at == count:
                at = 0
            found.append(((ring[at] - place) % RING / capacities[at], at))
        found.sort()
        return [self._owners[at] for _, at in found]

    def _slots(self) -> Sequence[int]:
        """Where each slot of the ring begins among the points, so that a search looks at only a few of them. Empty
        while nodes come and go: making it costs as much as many searches without it."""
        self._looks += 1
        if self._looks == _LOOKS:
            self._begins.extend(bisect_left(self._points, slot << _SLOT_SHIFT) for slot in range(_SLOTS + 1))
        return self._begins

    def _changed(self) -> None:
        self._looks = 0
        del self._begins[:]

    def around(self, video_id: str) -> Iterator[int]:
        """All sessions, each more than once, in the order of the ring from the video's place on"""
        start = bisect_left(self._points, points(video_id, 1)[0])
        yield from self._owners[start:]
        yield from self._owners[:start]

    def _count(self, seats: Seats, sign: int) -> None:
        self.open_nodes += sign * seats.is_open
        if not seats.draining:
            self.viewers += sign * seats.viewers
            self.promised += sign * seats.promised
            self.capacity += sign * seats.capacity


def points(text: str, count: int) -> tuple[int, ...]:
    """So many places on the ring, the same in every process"""
    return struct.unpack(f"<{count}Q", shake_128(text.encode()).digest(8 * count))


def rank(video_id: str, node_id: str) -> int:
    """Orders the nodes of a video: the same on every replica, and another order for each video"""
    return points(f"{video_id} {node_id}", 1)[0]
