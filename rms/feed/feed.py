"""One video's feed: every comment once, in the order of its arrival, as bytes that are the same for all viewers.

Rule 1: no clock, no socket, no store in here; `now_ms` and what was read from history come in.
Rule 2: there is no queue for a viewer. A viewer is an offset in the log; joining and resuming only find the offset.
        What stands in the log already (the last comments, which are the backfill) costs a joiner nothing.
Rule 3: a comment is in the log once, however often and from wherever it comes.
Where somebody goes on who has been here or elsewhere before, rms/feed/resuming.py finds out.
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
    """kept whatever their age: the backfill"""
    resume_comments_max: int
    """what one resuming viewer may be sent on its own"""
    dedupe_ms: int
    """how long an id is remembered, at least"""


class Entry(NamedTuple):
    """A comment in the log, an erasure or a gap, and the position of a viewer that has just read it"""

    id: int
    position: Position | None
    """None: no comment stood before it"""
    start: FeedOffset
    end: FeedOffset
    at_ms: int
    kind: Literal["comment", "erasure", "gap"] = "comment"


class Attach(NamedTuple, Generic[OffsetT]):
    """Where a viewer enters a log: first the bytes that are only for it, then the log from the offset on."""

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
        """of the comments whose frames are blank"""
        self.gaps = Gaps()
        self.held_from = complete_from
        """every known comment from here on is in the log"""
        self.complete_from = complete_from
        """Older comments never were in this feed, and nobody waits for them: who wants them reads pages."""
        self._ids: list[int] = []  # of the comments in the log, sorted
        self._window = Window(complete_from)
        self._seen = SeenIds(limits.dedupe_ms, now_ms)
        for comment in seed:
            self.append(comment, now_ms)

    def __len__(self) -> int:
        """comments in the log"""
        return len(self.entries)

    @property
    def position(self) -> Position | None:
        """Of a viewer that has read everything; None before the first comment"""
        return self._window.position()

    def may_have_forgotten(self, comment_id: int, now_ms: int) -> bool:
        """Is it unknown here, but so much older than what came since that it may have been here, and be forgotten?

        Then nobody can tell whether to send it. Old by this clock as well as beside the newest id: so no single wrong
        clock, and no outage after which all goes on in its order, makes everything look old.
        """
        return comment_id < self._old_below(now_ms) and comment_id not in self._seen

    def _old_below(self, now_ms: int) -> int:
        return first_id_at(min(now_ms, time_of(self._window.high)) - self.limits.dedupe_ms)

    def append(self, comment: Comment, now_ms: int) -> bool:
        """False, and nothing happens, if the comment is here already."""
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
        """Blanks the comment in the log and tells the viewers; a later arrival of it is dropped. False if known."""
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

    def forgo(self, from_id: int, to_id: int, now_ms: int) -> None:
        """Tells the viewers that comments from the one id up to the other may be missing, and won't come here. Who
        resumes from before this word gets it, too, also when the log has forgotten it; who joins doesn't."""
        position, start = self._window.position(), self.log.end
        gap = self.gaps.add(from_id, to_id, position, start)
        end = self.log.append(gap.frame(position))
        self.entries.append(Entry(gap.id, position, start, end, now_ms, "gap"))
        self.trim(now_ms)

    def trim(self, now_ms: int) -> None:
        """Forgets what is too old or too much, but for the last comments."""
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
        """A new viewer: the last `backfill` comments, then what comes."""
        first = self.backfill_index(backfill)
        offset = self.start_of(first)
        if not self.gaps.stands_from(offset):
            return Attach(b"", offset)
        # The backfill goes past gaps that are nothing to somebody new, who would only fetch what was not asked for.
        later = next(i for i in range(len(self.entries), first, -1) if self.entries[i - 1].kind == "gap")
        shown = (self.frame(entry) for entry in self.entries[first:later] if entry.kind != "gap")
        return Attach(b"".join(shown), self.start_of(later))

    def backfill_index(self, backfill: int) -> int:
        """Of the first entry that a new viewer is given"""
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
        """The comments whose frames stand at or behind `offset`, which is a frame's end"""
        return self.entries[bisect_left(self.entries, offset, key=_start) :]

    def ids_from(self, from_id: int) -> Sequence[int]:
        """Of the comments in the log, sorted"""
        return self._ids[bisect_left(self._ids, from_id) :]

    def frame(self, entry: Entry) -> bytes:
        return self.log.read(entry.start, entry.end - entry.start)

    def position_at(self, offset: FeedOffset) -> Position | None:
        """The position of a viewer that has read the log up to this frame's end; None if that isn't known."""
        index = bisect_left(self.entries, offset, key=_end)
        if index == len(self.entries) or self.entries[index].end != offset:
            return None
        return self.entries[index].position


def _start(entry: Entry) -> FeedOffset:
    return entry.start


def _end(entry: Entry) -> FeedOffset:
    return entry.end
