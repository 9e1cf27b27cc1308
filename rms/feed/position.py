"""Where a viewer stands in a video's talk: the text of an event's `id:`, and what can be worked out from it.

Comments of different comment_service nodes can arrive out of order, and two RMS nodes can get them in different orders.
So "the last id that I saw" doesn't say what a viewer has. A position says it: the highest id so far, and of all ids
within the last few seconds before it their number and the XOR of their hashes. What is older than that window has
arrived everywhere. The XOR can be solved: when an RMS knows one or two comments more in that window than the viewer
has, it finds out which (the idea of set reconciliation, Minsky, Trachtenberg & Zippel 2003, for the two smallest
cases), and sends just these. Otherwise the window is sent again.

Rule: no clock, no socket; ids carry all the time there is.
"""

import re
from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass

from history.core.ids import InvalidId, first_id_at, format_id, parse_id, time_of

WINDOW_MS = 5_000
"""How much later than a younger comment an older one can arrive and still be told apart. Longer than a publisher needs
to find another dispatcher (its lease and back-off, about 3 s). All RMS nodes must use the same: part of the wire."""

SOLVABLE_MAX = 4_096
"""Above so many comments in a window, looking for a pair costs more than sending the window again."""

_POSITION = re.compile(r"([0-7][0-9a-f]{15})(?:\.([0-9]{1,7})\.([0-9a-f]{12}))?")
_MASK = (1 << 64) - 1


class InvalidPosition(ValueError):
    """The text is no position; says what one looks like."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text[:80]!r} is no Last-Event-ID of this service: send an event's id: field as it was")


@dataclass(frozen=True, slots=True)
class Position:
    """high: the highest comment id so far. count, digest: of the ids in [window_floor(high), high].

    count 0 means that the set is not known exactly: it equals no other set.
    """

    high: int
    count: int
    digest: int

    def __str__(self) -> str:
        return f"{format_id(self.high)}.{self.count}.{self.digest:012x}"


def parse_position(text: str) -> Position:
    """Also takes a bare comment id, as a position whose window isn't known. Raises InvalidPosition."""
    match = _POSITION.fullmatch(text)
    if match is None:
        raise InvalidPosition(text)
    high, count, digest = match.groups()
    try:
        return Position(parse_id(high), int(count or 0), int(digest or "0", 16))
    except InvalidId as invalid:
        raise InvalidPosition(text) from invalid


def window_floor(high: int) -> int:
    """The lowest id that belongs to the window of `high`"""
    return first_id_at(time_of(high) - WINDOW_MS)


def mix(comment_id: int) -> int:
    """48 well-mixed bits of an id (the finalizer of splitmix64, Steele, Lea & Flood 2014): ids alone are too alike."""
    z = (comment_id + 0x9E3779B97F4A7C15) & _MASK
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    z = (z ^ z >> 27) * 0x94D049BB133111EB & _MASK
    return (z ^ z >> 31) >> 16


class Window:
    """The sliding window behind positions: add ids in any order, each once, and ask where that leads."""

    def __init__(self, complete_from: int = 0) -> None:
        """complete_from: all ids from this one on will be added; positions that reach further back say count 0."""
        self._complete_from = complete_from
        self._ids: list[int] = []  # sorted; those before _low have left the window
        self._low = 0
        self._digest = 0

    def add(self, comment_id: int) -> None:
        if not self._ids or comment_id > self._ids[-1]:
            self._ids.append(comment_id)
            self._digest ^= mix(comment_id)
            self._slide()
        elif comment_id >= window_floor(self._ids[-1]):
            insort(self._ids, comment_id, self._low)
            self._digest ^= mix(comment_id)
        # else: later than a window tells apart; it changes no position

    def _slide(self) -> None:
        floor = window_floor(self._ids[-1])
        while self._ids[self._low] < floor:
            self._digest ^= mix(self._ids[self._low])
            self._low += 1
        if self._low > 1024:
            del self._ids[: self._low]
            self._low = 0

    @property
    def high(self) -> int:
        """The highest id so far; 0 before the first one"""
        return self._ids[-1] if self._ids else 0

    def position(self) -> Position | None:
        """None before the first id"""
        if not self._ids:
            return None
        high = self._ids[-1]
        exact = window_floor(high) >= self._complete_from
        return Position(high, len(self._ids) - self._low if exact else 0, self._digest)


def missing(known: Sequence[int], position: Position) -> list[int] | None:
    """Which ids does a viewer at `position` lack? None if that can't be told.

    known: all ids in the position's window that are known here, sorted. Never wrong, but for a chance of 2^-48 a
    candidate.
    """
    lacking = len(known) - position.count
    if position.count == 0 or not 0 <= lacking <= 2 or len(known) > SOLVABLE_MAX:
        return None
    hashes = {mix(comment_id): comment_id for comment_id in known}
    rest = position.digest
    for value in hashes:
        rest ^= value
    if lacking == 0:
        return [] if rest == 0 else None
    if lacking == 1:
        return [hashes[rest]] if rest in hashes else None
    for value, comment_id in hashes.items():
        other = hashes.get(value ^ rest)
        if other is not None and other != comment_id:
            return sorted((comment_id, other))
    return None


def in_window(ids: Sequence[int], high: int) -> Sequence[int]:
    """The part of sorted `ids` that lies in the window of `high`"""
    return ids[bisect_left(ids, window_floor(high)) : bisect_left(ids, high + 1)]
