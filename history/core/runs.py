"""Runs: the stretches of a video's comments that a cache (cache/store.py) knows.

A run is a stretch [low, high) of ids with every visible comment in it: there may be none. A page is cut from runs that
lie side by side, wherever the pages before it ended. Runs of one video don't overlap. Rule 1: no clock and no cache
library; the cache decides when a run expires.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from history.core.ids import time_of
from history.core.model import Comment

END = 1 << 63
"""Above every id: the end of the newest run"""

RUN_BYTES = 1_500  # with the entries by which the cache finds it
COMMENT_BYTES = 450
"""Python's objects, without the texts; rounded up"""


@dataclass(slots=True)
class Validity:
    """Tells how long something derived from a run stays correct."""

    until_s: float
    """By the monotonic clock of whoever keeps the run. 0: over, because the run has changed or gone."""
    is_whole: bool = True
    """False: when the run was read, there may have been comments that could not be read."""


@dataclass(slots=True)
class Run:
    low: int
    """0: the run begins with the video"""
    high: int
    comments: list[Comment]  # newest first
    is_whole: bool = True
    """See Validity"""
    read_ms: int = 0
    """When its read began"""
    size: int = field(init=False)
    """Bytes of memory, estimated"""
    validity: Validity = field(init=False)
    """Of its present comments. Over, unless the run is kept."""
    _until_s: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.size = RUN_BYTES + sum(map(_size, self.comments))
        self.validity = Validity(0, self.is_whole)

    def keep_until(self, until_s: float) -> None:
        """Begins a new validity. 0: the run isn't kept any more."""
        self._until_s = until_s
        self._changed()

    def serves(self, before: int, above: "Run | None", settled_ms: int) -> bool:
        """Whether whoever has got comments down to `before` skips nothing if he goes on in this run. They may come from
        another service, read later than this run: then comments may have come between, below the last of them. None has
        if the run was read settled_ms after that one's time: by then all with smaller ids could be read.

        above: the run that they come from, if it is one of this cache."""
        if before >= END or (above is not None and above.read_ms <= self.read_ms):
            return True
        return time_of(before) + settled_ms <= self.read_ms

    def raise_low(self, low: int) -> None:
        """Leaves what is below to another run."""
        self._remove([comment for comment in self.comments if comment.id < low])
        self.low = low
        self._changed()

    def before(self, high: int, limit: int) -> list[Comment]:
        """Up to `limit` comments with an id below `high`, newest first"""
        begin = bisect_right(self.comments, -high, key=_descending)
        return self.comments[begin : begin + limit]

    def add(self, comment: Comment) -> bool:
        """Returns whether its id is within the run, and new."""
        if not self.low <= comment.id < self.high:
            return False
        at = bisect_left(self.comments, -comment.id, key=_descending)
        if at < len(self.comments) and self.comments[at].id == comment.id:
            return False
        self.comments.insert(at, comment)
        self.size += _size(comment)
        self._changed()
        return True

    def evict(self, ids: Collection[int]) -> None:
        """Removes these comments; unknown ids change nothing."""
        self._remove([comment for comment in self.comments if comment.id in ids])

    def evict_author(self, author_id: str, up_to_id: int) -> None:
        """Removes his comments up to that id."""
        self._remove([each for each in self.comments if each.author.id == author_id and each.id <= up_to_id])

    def split(self, border: int) -> "list[Run]":
        """The parts below the border and from it on: one run or two"""
        if not self.low < border < self.high:
            return [self]
        at = bisect_left(self.comments, -border + 1, key=_descending)
        below, above = self.comments[at:], self.comments[:at]
        about = (self.is_whole, self.read_ms)
        return [Run(self.low, border, below, *about), Run(border, self.high, above, *about)]

    def _remove(self, gone: list[Comment]) -> None:
        if gone:
            ids = {comment.id for comment in gone}
            self.comments = [comment for comment in self.comments if comment.id not in ids]
            self.size -= sum(map(_size, gone))
            self._changed()

    def _changed(self) -> None:
        self.validity.until_s = 0
        self.validity = Validity(self._until_s, self.is_whole)


class Highs:
    """The upper ends of one video's runs, ascending: finds the run for the id before which a page begins."""

    def __init__(self) -> None:
        self._highs: list[int] = []

    def __len__(self) -> int:
        return len(self._highs)

    def __iter__(self) -> Iterator[int]:
        return iter(self._highs)

    def at_or_above(self, before: int) -> int | None:
        """The only run that may hold the ids just below `before`"""
        at = bisect_left(self._highs, before)
        return self._highs[at] if at < len(self._highs) else None

    def within(self, low: int, high: int) -> list[int]:
        """The ends in (low, high]"""
        return self._highs[bisect_right(self._highs, low) : bisect_right(self._highs, high)]

    def add(self, high: int) -> None:
        at = bisect_left(self._highs, high)
        if at == len(self._highs) or self._highs[at] != high:
            self._highs.insert(at, high)

    def remove(self, high: int) -> None:
        at = bisect_left(self._highs, high)
        if at < len(self._highs) and self._highs[at] == high:
            del self._highs[at]


def _size(comment: Comment) -> int:
    return COMMENT_BYTES + 4 * len(comment.message) + len(comment.author.name) + len(comment.author.id)


def _descending(comment: Comment) -> int:
    return -comment.id
