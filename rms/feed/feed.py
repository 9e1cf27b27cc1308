"""One video's feed: every comment once, in the order of its arrival, as bytes that are the same for all viewers.

Rule 1: no clock, no socket, no store in here; `now_ms` (the wall clock) and what was read from history come in.
Rule 2: a viewer has no queue. A viewer is an offset in the log; joining and resuming only find the offset. The backfill
        is the last comments in the log, so it costs nothing to give it to a new viewer.
Rule 3: a comment is in the log once, however often and from wherever it comes.
rms/feed/resuming.py finds where a viewer goes on that was here, or at another node, before.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Literal, NamedTuple

from history.core.ids import first_id_at, format_id, time_of
from history.core.model import Comment, Erasure
from rms.feed.byte_log import ByteLog, FeedOffset, OffsetT
from rms.feed.gaps import Gaps
from rms.feed.position import Position, Window
from rms.feed.seen_ids import SeenIds
from rms.feed.sse import blank_frame, comment_data, comment_frame, event_frame


@dataclass(frozen=True, slots=True)
class FeedLimits:
    log_bytes_max: int
    log_age_ms_max: int
    log_comments_min: int
    """kept whatever their age and size: the backfill"""
    resume_comments_max: int
    """how many comments one resuming viewer may be sent beside the log"""
    dedupe_ms: int
    """how long an id is remembered, at least"""


class Entry(NamedTuple):
    """One frame of the log: a comment, an erasure or a gap"""

    id: int
    position: Position | None
    """of a viewer that has read up to the frame's end; None: it has read no comment"""
    start: FeedOffset
    end: FeedOffset
    at_ms: int
    kind: Literal["comment", "erasure", "gap"] = "comment"


class Attach(NamedTuple, Generic[OffsetT]):
    """Where a viewer enters a log: it is sent `private`, which is for it alone, and then the log from `offset` on."""

    private: bytes
    offset: OffsetT


class Feed:
    def __init__(self, limits: FeedLimits, seed: Sequence[Comment], complete_from: int, now_ms: int) -> None:
        """seed: the video's last comments from history, oldest first; all that there are from id `complete_from` on."""
        self.limits = limits
        self.log: ByteLog[FeedOffset] = ByteLog()
        self.entries: list[Entry] = []
        """in order of arrival, one for each frame of the log"""
        self.erased: set[int] = set()
        """ids of the comments whose frames are blank"""
        self.gaps = Gaps()
        self.held_from = complete_from
        """every known comment from this id on is in the log"""
        self.complete_from = complete_from
        """Comments below this id never were in this feed, and no viewer waits for them: pages have them."""
        self._ids: list[int] = []  # of the comments in the log, sorted
        self._window = Window(complete_from)
        self._seen = SeenIds(limits.dedupe_ms, now_ms)
        for comment in seed:
            self.append(comment, now_ms)

    def __len__(self) -> int:
        """entries in the log"""
        return len(self.entries)

    @property
    def position(self) -> Position | None:
        """Of a viewer that has read everything; None before the first comment"""
        return self._window.position()

    def may_have_forgotten(self, comment_id: int, now_ms: int) -> bool:
        """True if the id is unknown, and so old that it may have been here and have been forgotten since.

        Whether such a comment is to be sent can't be told. Old means: by this clock as well as beside the newest id.
        So one wrong clock makes nothing look old, nor does an outage after which comments come in their order.
        """
        return comment_id < self._old_below(now_ms) and comment_id not in self._seen

    def _old_below(self, now_ms: int) -> int:
        high = self._window.high
        return 0 if high is None else first_id_at(min(now_ms, time_of(high)) - self.limits.dedupe_ms)

    def append(self, comment: Comment, now_ms: int) -> bool:
        """Returns False, and changes nothing, if the comment has been here."""
        if comment.id in self._seen:
            return False
        self._seen.add(comment.id, now_ms, self._old_below(now_ms))
        self._window.add(comment.id)
        position = self._window.position()
        assert position is not None
        start = self.log.end
        end = self.log.append(comment_frame(position, comment_data(comment)))
        self.entries.append(Entry(comment.id, position, start, end, now_ms))
        insort(self._ids, comment.id)
        self.trim(now_ms)
        return True

    def erase(self, erasure: Erasure, now_ms: int) -> bool:
        """Blanks the comment in the log and appends an `event: deleted`. If the comment comes after its erasure, it is
        dropped. Returns False, and changes nothing, if the erasure has been here."""
        if erasure.id in self._seen:
            return False
        for known_id in (erasure.id, erasure.erased_id):
            self._seen.add(known_id, now_ms, self._old_below(now_ms))
        for entry in self.entries:
            if entry.kind == "comment" and entry.id == erasure.erased_id:
                self.erased.add(entry.id)
                self.log.overwrite(entry.start, blank_frame(self.frame(entry)))
        position, start = self._window.position(), self.log.end
        end = self.log.append(event_frame("deleted", {"id": format_id(erasure.erased_id)}, position))
        self.entries.append(Entry(erasure.id, position, start, end, now_ms, "erasure"))
        self.trim(now_ms)
        return True

    def add_gap(self, from_id: int, to_id: int, now_ms: int) -> None:
        """Appends an `event: gap`: comments from `from_id` up to `to_id` (exclusive) may be missing, and won't come. A
        viewer that resumes from before the gap gets it, also when the log holds it no longer; a new viewer doesn't."""
        position, start = self._window.position(), self.log.end
        gap = self.gaps.add(from_id, to_id, position, start)
        end = self.log.append(gap.frame(position))
        self.entries.append(Entry(gap.id, position, start, end, now_ms, "gap"))
        self.trim(now_ms)

    def trim(self, now_ms: int) -> None:
        """Drops what is too old or too much, but for the last entries."""
        limits, entries = self.limits, self.entries
        spare = len(entries) - limits.log_comments_min
        drop = 0
        while drop < spare and (
            self.log.end - entries[drop].start > limits.log_bytes_max
            or now_ms - entries[drop].at_ms > limits.log_age_ms_max
        ):
            drop += 1
        if drop == 0:
            return
        self.log.trim(entries[drop - 1].end)
        for entry in entries[:drop]:
            if entry.kind == "comment":
                del self._ids[bisect_left(self._ids, entry.id)]
                self.erased.discard(entry.id)
                self.held_from = max(self.held_from, entry.id + 1)
        del entries[:drop]

    def join(self, backfill: int) -> Attach[FeedOffset]:
        """Where a new viewer enters: it gets the last `backfill` comments, then what comes."""
        first = self.backfill_index(backfill)
        offset = self.start_of(first)
        if not self.gaps.stands_from(offset):
            return Attach(b"", offset)
        # A gap from before its time is nothing to a new viewer: the backfill leaves it out.
        later = next(i for i in range(len(self.entries), first, -1) if self.entries[i - 1].kind == "gap")
        shown = (self.frame(entry) for entry in self.entries[first:later] if entry.kind != "gap")
        return Attach(b"".join(shown), self.start_of(later))

    def backfill_index(self, backfill: int) -> int:
        """The index of the first entry that a new viewer is given"""
        index = len(self.entries)
        if not self.gaps.stands_from(self.log.base):
            return max(0, index - backfill)
        while index and backfill:
            index -= 1
            backfill -= self.entries[index].kind != "gap"
        return index

    def start_of(self, index: int) -> FeedOffset:
        """The offset of an entry, or the log's end behind the last one"""
        return self.entries[index].start if index < len(self.entries) else self.log.end

    def entries_from(self, offset: FeedOffset) -> Sequence[Entry]:
        """The entries whose frames stand at or behind `offset`, which is a frame's end"""
        return self.entries[bisect_left(self.entries, offset, key=_start) :]

    def ids_from(self, from_id: int) -> Sequence[int]:
        """The ids from this one on of the comments in the log, sorted"""
        return self._ids[bisect_left(self._ids, from_id) :]

    def frame(self, entry: Entry) -> bytes:
        return self.log.read(entry.start, entry.end - entry.start)

    def position_at(self, offset: FeedOffset) -> Position | None:
        """The position of a viewer that has read the log up to this frame's end; None if it isn't known."""
        index = bisect_left(self.entries, offset, key=_end)
        if index == len(self.entries) or self.entries[index].end != offset:
            return None
        return self.entries[index].position


def _start(entry: Entry) -> FeedOffset:
    return entry.start


def _end(entry: Entry) -> FeedOffset:
    return entry.end
