"""What a feed may have missed and can't get any more: who still has to be told of it, and in which words.

A gap stands in the feed's log, where those who are here read it, and here, for those who come back later than the log
remembers.

Rule: no clock, no socket.
"""

from typing import NamedTuple

from history.core.ids import format_id
from rms.feed.byte_log import FeedOffset
from rms.feed.position import Position
from rms.feed.sse import event_frame

GAPS_MAX = 16
"""told apart; the two oldest become one, which says rather too much than too little"""


class Gap(NamedTuple):
    """Comments from one id up to another, which may be missing"""

    from_id: int
    to_id: int
    """exclusive"""
    id: int
    """A viewer whose highest id is this or above has read on since, or came later."""
    start: FeedOffset
    """of its frame in the log: who enters there or before reads it"""

    def frame(self, position: Position | None = None) -> bytes:
        """position: of the viewer that reads it; None: it says nothing of where that one stands."""
        payload = {"from": format_id(self.from_id - 1), "to": format_id(self.to_id), "reason": "too_long_ago"}
        return event_frame("gap", payload, position)


class Gaps:
    def __init__(self) -> None:
        self._gaps: list[Gap] = []  # oldest first

    def add(self, from_id: int, to_id: int, position: Position | None, start: FeedOffset) -> Gap:
        """position: of a viewer that has read the log up to `start`"""
        gap = Gap(from_id, to_id, max(to_id, position.high + 1 if position else 0), start)
        self._gaps.append(gap)
        if len(self._gaps) > GAPS_MAX:
            old, newer = self._gaps[:2]
            ids = min(old.from_id, newer.from_id), max(old.to_id, newer.to_id)
            self._gaps[:2] = [Gap(*ids, newer.id, old.start)]
        return gap

    def stands_from(self, offset: FeedOffset) -> bool:
        """Is there one at this offset of the log or behind it?"""
        return bool(self._gaps) and self._gaps[-1].start >= offset

    def untold(self, position: Position, offset: FeedOffset) -> bytes:
        """For a viewer at this position that enters the log at this offset: what it may not know of, and won't read."""
        gaps = (gap for gap in self._gaps if position.high < gap.id and gap.start < offset)
        return b"".join(gap.frame() for gap in gaps)
