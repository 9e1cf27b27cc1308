"""Which comments a feed has had: each id is remembered for a time, at least, in eight bytes.

It must be long: a catch-up reads again what a feed may have missed while a dispatcher was away, and all that the feed
has forgotten by then would go to its viewers a second time.

Rule: no clock; `now_ms` comes in.
"""

from array import array
from bisect import bisect_left
from collections import deque
from typing import NamedTuple

PARTS = 32
"""of the time; each is forgotten as a whole, so that the oldest ids stay for up to a thirty-second longer"""


class _Part(NamedTuple):
    packed_ms: int
    ids: "array[int]"  # sorted


class SeenIds:
    def __init__(self, keep_ms: int, now_ms: int) -> None:
        self._keep_ms = keep_ms
        self._fresh: set[int] = set()
        self._fresh_since_ms = now_ms
        self._parts: deque[_Part] = deque()  # oldest first
        self._packed_max = 0  # above it no packed id ever was: nearly every question is answered by this

    def __contains__(self, comment_id: int) -> bool:
        if comment_id in self._fresh:
            return True
        if comment_id > self._packed_max:
            return False
        return any(_has(part.ids, comment_id) for part in self._parts)

    def __len__(self) -> int:
        return len(self._fresh) + sum(len(part.ids) for part in self._parts)

    def add(self, comment_id: int, now_ms: int) -> None:
        if now_ms - self._fresh_since_ms > self._keep_ms // PARTS:
            self._pack(now_ms)
        self._fresh.add(comment_id)

    def _pack(self, now_ms: int) -> None:
        if self._fresh:
            ids = array("Q", sorted(self._fresh))
            self._parts.append(_Part(now_ms, ids))
            self._packed_max = max(self._packed_max, ids[-1])
            self._fresh = set()
        self._fresh_since_ms = now_ms
        while self._parts and now_ms - self._parts[0].packed_ms > self._keep_ms:
            self._parts.popleft()


def _has(ids: "array[int]", comment_id: int) -> bool:
    if not ids[0] <= comment_id <= ids[-1]:
        return False
    return ids[bisect_left(ids, comment_id)] == comment_id
