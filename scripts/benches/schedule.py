"""Which comment is due when, and what it says: the same for every server that is compared."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

VIDEO = "bench"
WORDS = " what a goal"
MARK = b"@T"
"""Stands before the due time in a marker"""


class Line(NamedTuple):
    user: str
    text: str


_BEFORE = '{"id":"%s","liveVideoId":"bench","author":{"id":"u1","name":"u1"},"message":"'
_BEHIND = WORDS + '","createdAt":1700000000000}'
_POSITION = "0123456789abcdef.000.0123456789ab"  # as long as the RMS's own


@dataclass(frozen=True, slots=True)
class Schedule:
    """`count` comments, the first one due at `start_ns` of CLOCK_MONOTONIC, then `rate` a second."""

    start_ns: int
    rate: float
    count: int
    first: int = 0
    """the number that the first of them bears; everywhere else they are counted from 0"""
    lines: Sequence[Line] = (Line("u1", WORDS),)
    """what is said, and by whom, again from the beginning behind the last one; over gRPC only"""
    video: str = VIDEO
    """over gRPC only"""

    @property
    def seconds(self) -> float:
        return self.count / self.rate

    @property
    def end_ns(self) -> int:
        return self.due_ns(self.count)

    def due_ns(self, number: int) -> int:
        return self.start_ns + int(number * 1e9 / self.rate)

    def due_until(self, now_ns: int, first: int) -> range:
        """The numbers from `first` on that are due at `now_ns`"""
        last = first
        while last < self.count and self.due_ns(last) <= now_ns:
            last += 1
        return range(first, last)

    def marker(self, number: int) -> str:
        """How the viewers recognize the comment: see tally.h"""
        return f"c#{self.first + number:06d} @T{self.due_ns(number)} "

    def line(self, number: int) -> Line:
        """What goes in over gRPC"""
        user, text = self.lines[number % len(self.lines)]
        return Line(user, self.marker(number) + text)

    def data(self, number: int) -> str:
        """The JSON that the RMS makes of the usual line, for servers that pass on what they get"""
        return _BEFORE % f"{number:016x}" + self.marker(number) + _BEHIND


def soon(lead_s: float) -> int:
    """A time of CLOCK_MONOTONIC, in ns: so many seconds from now"""
    return time.monotonic_ns() + int(lead_s * 1e9)


def due_ns_of(data: bytes) -> int:
    """When the comment with this data was due, as its marker says"""
    return int(data.partition(MARK)[2].partition(b" ")[0])


def frame_parts() -> tuple[str, str]:
    """What stands before and behind the marker in an event as long as the RMS's"""
    return f"id: {_POSITION}\ndata: {_BEFORE % _POSITION[:16]}", f"{_BEHIND}\n\n"


def frame_bytes() -> int:
    """How long an event is on the wire"""
    return len("".join(frame_parts())) + len(Schedule(10**12, 1, 1).marker(0))
