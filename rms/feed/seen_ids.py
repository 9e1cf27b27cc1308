"""Remembers which events a feed has had: each id for a time at least, in eight bytes.

The time must be long: a catch-up reads again what a feed may have missed while a dispatcher was away, and what the feed
has forgotten by then would be sent to its viewers a second time. And an id is forgotten only when it is so old that
`Feed.may_have_forgotten` recognizes it as old: else it would be taken for a new one.

Rule: no clock; `now_ms` comes in.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import NamedTuple

PARTS = 32
"""of the time; each is forgotten as a whole, so that the oldest ids stay for up to a thirty-second part longer"""


class _Part(NamedTuple):
    packed_ms: int
    ids: "array[int]"  # sorted


class SeenIds:
    __slots__ = ("_fresh", "_fresh_since_ms", "_keep_ms", "_packed_max", "_parts")

    def __init__(self, keep_ms: int, now_ms: int, ids: Iterable[int] = ()) -> None:
        """ids: seen already"""
        self._keep_ms = keep_ms
        self._fresh: set[int] = set()
        self._fresh_since_ms = now_ms
        self._parts: list[_Part] = []  # oldest first
        self._packed_max = 0  # the highest id ever packed: nearly every look-up ends here, as new ids are above it
        self._fresh.update(ids)
        if self._fresh:
            self._pack(now_ms, 0)

    def __contains__(self, event_id: int) -> bool:
        if event_id in self._fresh:
            return True
        if event_id > self._packed_max:
            return False
        return any(_has(part.ids, event_id) for part in self._parts)

    def __len__(self) -> int:
        return len(self._fresh) + sum(len(part.ids) for part in self._parts)

    def from_(self, from_id: int) -> Iterator[int]:
        """Those from this id on, in no order"""
        yield from (event_id for event_id in self._fresh if event_id >= from_id)
        for part in self._parts:
            yield from part.ids[bisect_left(part.ids, from_id) :]

    def add(self, event_id: int, now_ms: int, old_below: int) -> None:
        """old_below: ids from this one on are not forgotten yet, unless twice as many parts came after them as the time
        has: ids that are ahead must not fill the memory. Parts are counted for that, because the clock may be set."""
        if not 0 <= now_ms - self._fresh_since_ms <= self._keep_ms // PARTS:
            self._pack(now_ms, old_below)
        self._fresh.add(event_id)

    def _pack(self, now_ms: int, old_below: int) -> None:
        if self._fresh:
            ids = array("Q", sorted(self._fresh))
            self._parts.append(_Part(now_ms, ids))
            self._packed_max = max(self._packed_max, ids[-1])
            self._fresh = set()
        self._fresh_since_ms = now_ms
        over = max(0, len(self._parts) - 2 * PARTS - 1)
        while over < len(self._parts) and self._is_over(self._parts[over], now_ms, old_below):
            over += 1
        del self._parts[:over]

    def _is_over(self, part: _Part, now_ms: int, old_below: int) -> bool:
        return now_ms - part.packed_ms > self._keep_ms and part.ids[-1] < old_below


def _has(ids: "array[int]", event_id: int) -> bool:
    if not ids[0] <= event_id <= ids[-1]:
        return False
    return ids[bisect_left(ids, event_id)] == event_id
