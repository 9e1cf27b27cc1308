"""How far a viewer has read a video's comments: the text of an event's `id:`, and what can be worked out from it.

Comments of different comment_service nodes can arrive out of order, and two RMS nodes can get them in different orders.
So the last id alone doesn't say what a viewer has. A position does: it is the highest id so far, and for the ids of the
last few seconds up to it (the window) their number and the XOR of their hashes. What is older than the window has
arrived everywhere. The XOR can be solved: when an RMS knows one or two comments more in the window than the viewer has,
it finds out which (the idea of set reconciliation, Minsky, Trachtenberg & Zippel 2003, for the two smallest cases), and
sends just these. Otherwise it sends the window again.

Rule: no clock, no socket; ids carry all the time there is.
"""

import re
from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass

from history.core.ids import InvalidId, first_id_at, format_id, parse_id, time_of

WINDOW_MS = 5_000
"""How long after a younger comment an older one can arrive and still be told apart. Longer than a publisher needs to
find another dispatcher (its lease and back-off, about 3 s). Part of the wire: all RMS nodes must use the same."""

SOLVABLE_MAX = 4_096
"""Above so many comments in a window, looking for a pair costs more than sending the window again."""

_POSITION = re.compile(r"([0-7][0-9a-f]{15})(?:\.([0-9]{1,7})\.([0-9a-f]{12}))?")
_MASK = (1 << 64) - 1


class InvalidPosition(ValueError):
    """The text is no position; the sentence says what one looks like."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text[:80]!r} is no Last-Event-ID of this service: send an event's id: field as it was")


@dataclass(frozen=True, slots=True)
class Position:
    """high: the highest comment id so far. count, digest: of the ids in [window_floor(high), high].

    count is 0, on the wire, if the set isn't known exactly; a known one has `high` at least.
    """

    high: int
    count: int
    digest: int

    @property
    def is_exact(self) -> bool:
        """Is the set of ids in the window known?"""
        return self.count > 0

    def __str__(self) -> str:
        return f"{format_id(self.high)}.{self.count}.{self.digest:012x}"


def parse_position(text: str) -> Position:
    """A bare comment id is a position that isn't exact. Raises InvalidPosition."""
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
    """48 well-mixed bits of an id, as ids are too alike: the finalizer of splitmix64 (Steele, Lea & Flood 2014)"""
    z = (comment_id + 0x9E3779B97F4A7C15) & _MASK
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    z = (z ^ z >> 27) * 0x94D049BB133111EB & _MASK
    return (z ^ z >> 31) >> 16


class Window:
    """The sliding window that positions are made from: takes ids in any order, each once."""

    def __init__(self, complete_from: int = 0) -> None:
        """complete_from: all ids from this one on will be added; positions that reach further back aren't exact."""
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
        # else: it is older than the window, and changes no position

    def _slide(self) -> None:
        floor = window_floor(self._ids[-1])
        while self._ids[self._low] < floor:
            self._digest ^= mix(self._ids[self._low])
            self._low += 1
        if self._low > 1024:
            del self._ids[: self._low]
            self._low = 0

    @property
    def high(self) -> int | None:
        """The highest id so far; None before the first one"""
        return self._ids[-1] if self._ids else None

    def position(self) -> Position | None:
        """None before the first id"""
        if not self._ids:
            return None
        high = self._ids[-1]
        exact = window_floor(high) >= self._complete_from
        return Position(high, len(self._ids) - self._low if exact else 0, self._digest)


def missing(known: Sequence[int], position: Position) -> list[int] | None:
    """The ids that a viewer at `position` lacks; None if that can't be told.

    known: all ids in the position's window that are known here, sorted. Wrong with a chance of 2^-48 a candidate.
    """
    lacking = len(known) - position.count
    if not position.is_exact or not 0 <= lacking <= 2 or len(known) > SOLVABLE_MAX:
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
