"""What a feed may have missed and can't get any more, and which viewers that is still to be announced to.

A gap stands in the feed's log for the viewers that are here. `Gaps` remembers it for those that come back when the log
no longer holds it.

Rule: no clock, no socket.
"""

from typing import NamedTuple

from history.core.ids import format_id
from rms.feed.byte_log import FeedOffset
from rms.feed.position import Position
from rms.feed.sse import event_frame

GAPS_MAX = 16
"""kept apart; above that the two oldest become one, which announces too much rather than too little"""


class Gap(NamedTuple):
    """Comments from one id up to another, which may be missing"""

    from_id: int
    to_id: int
    """exclusive"""
    id: int
    """A viewer whose highest id is this or above read the gap, or came after it."""
    start: FeedOffset
    """of its frame in the log: a viewer that enters there or before reads it"""

    def frame(self, position: bytes | None = None) -> bytes:
        """position: of the viewer that reads it, as text; None: the frame has no `id:`"""
        payload = {"from": format_id(self.from_id - 1), "to": format_id(self.to_id), "reason": "too_long_ago"}
        return event_frame("gap", payload, position)


class Gaps:
    __slots__ = ("_gaps",)

    def __init__(self) -> None:
        self._gaps: list[Gap] = []  # oldest first

    def add(self, from_id: int, to_id: int, high: int | None, start: FeedOffset) -> Gap:
        """high: the highest id that a viewer has that has read the log up to `start`, where the gap's frame will stand;
        None: there is none"""
        gap = Gap(from_id, to_id, max(to_id, 0 if high is None else high + 1), start)
        self._gaps.append(gap)
        if len(self._gaps) > GAPS_MAX:
            old, newer = self._gaps[:2]
            ids = min(old.from_id, newer.from_id), max(old.to_id, newer.to_id)
            self._gaps[:2] = [Gap(*ids, newer.id, old.start)]
        return gap

    def unread(self, position: Position, offset: FeedOffset) -> bytes:
        """The frames of the gaps that a viewer at this position may not have read, and won't read when it enters the
        log at this offset"""
        gaps = (gap for gap in self._gaps if position.high < gap.id and gap.start < offset)
        return b"".join(gap.frame() for gap in gaps)
