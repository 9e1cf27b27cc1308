"""What a feed's log is made of, and how viewers come into it.

Rule: no clock, no socket.
"""

from dataclasses import dataclass
from typing import Generic, NamedTuple

from rms.feed.byte_log import FeedOffset, OffsetT
from rms.feed.position import Position

VISIBLE, BLANK, CHANGE, GAP, RETURNED = range(5)
"""Kinds of entries: comment, one that isn't shown any more, any other event, what is no event (a gap; a position that
all have from there on), event that restored a comment"""


@dataclass(frozen=True, slots=True)
class FeedLimits:
    log_bytes_max: int
    log_age_ms_max: int
    log_comments_min: int
    """entries kept whatever their age and size: the backfill"""
    resume_events_max: int
    """how many events one resuming viewer may be sent beside the log"""
    dedupe_ms: int
    """how long an id is remembered, at least"""


class Entry(NamedTuple):
    """One frame of the log"""

    id: int
    start: FeedOffset
    end: FeedOffset
    at_ms: int
    kind: int


class Attach(NamedTuple, Generic[OffsetT]):
    """Where a viewer enters a log: it is sent `private`, which is for it alone, and then the log from `offset` on."""

    private: bytes
    offset: OffsetT
    claims: Position | None = None
    """Not None: the viewer has more than the feed. It must get the log without what this position claims."""
