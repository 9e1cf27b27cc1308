"""Who sits where: each node's seats, all of them together, and in which order nodes are asked for a video.

Rule: the same answer from every replica with the same state: no clock, no chance, no `hash()`, no order of arrival.

A video's candidates are found by multi-probe consistent hashing (B. Appleton, M. O'Reilly, "Multi-probe consistent
hashing", 2015): nodes are points on a ring, the video is hashed to 21 places, and the nearest point behind any of them
wins. Distances are divided by the capacity, so each node wins in proportion to it. A node that goes moves only the
videos that it had won; one that comes takes only those that it wins. A look costs 21 binary searches, however many
nodes there are: 10 us among 1,300, where comparing all of them took 1 ms.

The paper gives each node one point. Alone on a short arc it would win too seldom; with 16 points each, the shares of
1,300 equal nodes differ by a few percent.
"""

import math
import struct
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import shake_128

RING = 1 << 64
POINTS = 16
PROBES = 21


@dataclass(slots=True)
class Seats:
    """One node's. Changed by Seating alone, which counts."""

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
        self._points: list[int] = []  # ascending; the session of each stands at the same place in the other list
        self._owners: list[int] = []
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
        for point in points(seats.node_id, POINTS):
            at = bisect_left(self._points, point)
            self._points.insert(at, point)
            self._owners.insert(at, session)

    def remove(self, session: int) -> None:
        seats = self._seats.pop(session)
        self._count(seats, -1)
        for point in points(seats.node_id, POINTS):
            at = bisect_left(self._points, point)
            del self._points[at], self._owners[at]

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
        ring, owners, seats = self._points, self._owners, self._seats
        found = []
        for place in points(video_id, PROBES) if ring else ():
            at = bisect_left(ring, place)
            if at == len(ring):
                at = 0
            found.append(((ring[at] - place) % RING / (seats[owners[at]].capacity or 1), at))
        found.sort()
        return [owners[at] for _, at in found]

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
