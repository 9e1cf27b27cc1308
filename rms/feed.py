"""One video's feed: every comment once, in the order of its arrival, as bytes that are the same for all viewers.

Rule 1: no clock, no socket, no store in here; `now_ms` and what was read from history come in.
Rule 2: there is no queue for a viewer. A viewer is an offset in the log; joining and resuming only find the offset.
        What stands in the log already (the last comments, which are the backfill) costs a joiner nothing.
Rule 3: a comment is in the log once, however often and from wherever it comes.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from history.ids import format_id
from history.model import Comment, Erasure
from rms.byte_log import ByteLog
from rms.gaps import Gaps
from rms.position import Position, Window, in_window, missing, window_floor
from rms.seen_ids import SeenIds
from rms.sse import blank_frame, comment_data, comment_frame, event_frame, frame_data

ANSWERS_MAX = 1_000
"""positions whose answers are kept for those who resume from the same one"""


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
    start: int
    end: int
    at_ms: int
    kind: Literal["comment", "erasure", "gap"] = "comment"


class Attach(NamedTuple):
    """Where a viewer enters: first the bytes that are only for it, then the log from the offset on."""

    private: bytes
    offset: int


class NeedsHistory(NamedTuple):
    """To place this viewer, comments from this id on must be read from history first."""

    from_id: int


class Feed:
    def __init__(self, limits: FeedLimits, seed: Sequence[Comment], complete_from: int, now_ms: int) -> None:
        """seed: the video's last comments from history, oldest first; all that there are from id `complete_from` on."""
        self.log = ByteLog()
        self._limits = limits
        self._entries: list[Entry] = []  # in order of arrival, one for each frame of the log
        self._ids: list[int] = []  # of the comments among them, sorted
        self._held_from = complete_from  # every known comment from here on is in the log
        self._window = Window(complete_from)
        self._gaps = Gaps()
        self._erased: set[int] = set()  # of the comments whose frames are blank
        self.complete_from = complete_from
        """Older comments never were in this feed, and nobody waits for them: who wants them reads pages."""
        self._seen = SeenIds(limits.dedupe_ms, now_ms)
        self._answers: dict[tuple[Position, int, bool], Attach | NeedsHistory] = {}  # to those who resume now
        for comment in seed:
            self.append(comment, now_ms)

    def __len__(self) -> int:
        """comments in the log"""
        return len(self._entries)

    @property
    def position(self) -> Position | None:
        """Of a viewer that has read everything; None before the first comment"""
        return self._window.position()

    def append(self, comment: Comment, now_ms: int) -> bool:
        """False, and nothing happens, if the comment is here already."""
        if comment.id in self._seen:
            return False
        self._seen.add(comment.id, now_ms)
        self._window.add(comment.id)
        position = self._window.position()
        assert position is not None
        start = self.log.end
        end = self.log.append(comment_frame(position, comment_data(comment)))
        self._entries.append(Entry(comment.id, position, start, end, now_ms))
        insort(self._ids, comment.id)
        self._answers.clear()
        self.trim(now_ms)
        return True

    def erase(self, erasure: Erasure, now_ms: int) -> bool:
        """Blanks the comment in the log and tells the viewers; a later arrival of it is dropped. False if known."""
        if erasure.id in self._seen:
            return False
        self._seen.add(erasure.id, now_ms)
        self._seen.add(erasure.erased_id, now_ms)
        for entry in self._entries:
            if entry.kind == "comment" and entry.id == erasure.erased_id:
                self._erased.add(entry.id)
                self.log.overwrite(entry.start, blank_frame(self.frame(entry)))
        position, start = self._window.position(), self.log.end
        end = self.log.append(event_frame("deleted", {"id": format_id(erasure.erased_id)}, position))
        self._entries.append(Entry(erasure.id, position, start, end, now_ms, "erasure"))
        self._answers.clear()
        self.trim(now_ms)
        return True

    def forgo(self, from_id: int, to_id: int, now_ms: int) -> None:
        """Tells the viewers that comments from the one id up to the other may be missing, and won't come here. Who
        resumes from before this word gets it, too, also when the log has forgotten it; who joins doesn't."""
        position, start = self._window.position(), self.log.end
        gap = self._gaps.add(from_id, to_id, position, start)
        end = self.log.append(gap.frame(position))
        self._entries.append(Entry(gap.id, position, start, end, now_ms, "gap"))
        self._answers.clear()
        self.trim(now_ms)

    def trim(self, now_ms: int) -> None:
        """Forgets what is too old or too much, but for the last comments."""
        limits, entries = self._limits, self._entries
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
                self._erased.discard(entry.id)
                self._held_from = max(self._held_from, entry.id + 1)
        del entries[:drop]
        self._answers.clear()

    def join(self, backfill: int) -> Attach:
        """A new viewer: the last `backfill` comments, then what comes."""
        first = self._backfill_index(backfill)
        offset = self._start_of(first)
        if not self._gaps.stands_from(offset):
            return Attach(b"", offset)
        # The backfill goes past gaps that are nothing to somebody new, who would only fetch what was not asked for.
        later = next(i for i in range(len(self._entries), first, -1) if self._entries[i - 1].kind == "gap")
        shown = (self.frame(entry) for entry in self._entries[first:later] if entry.kind != "gap")
        return Attach(b"".join(shown), self._start_of(later))

    def _backfill_index(self, backfill: int) -> int:
        """Of the first entry that a new viewer is given"""
        index = len(self._entries)
        if not self._gaps.stands_from(self.log.base):
            return max(0, index - backfill)
        while index and backfill:
            index -= 1
            backfill -= self._entries[index].kind != "gap"
        return index

    def _start_of(self, index: int) -> int:
        return self._entries[index].start if index < len(self._entries) else self.log.end

    def entries_from(self, offset: int) -> Sequence[Entry]:
        """The comments whose frames stand at or behind `offset`, which is a frame's end"""
        return self._entries[bisect_left(self._entries, offset, key=_start) :]

    def frame(self, entry: Entry) -> bytes:
        return self.log.read(entry.start, entry.end - entry.start)

    def position_at(self, offset: int) -> Position | None:
        """The position of a viewer that has read the log up to this frame's end; None if that isn't known."""
        index = bisect_left(self._entries, offset, key=_end)
        if index == len(self._entries) or self._entries[index].end != offset:
            return None
        return self._entries[index].position

    def resume(
        self, position: Position, backfill: int, now_ms: int, history: Sequence[Comment] | None = None
    ) -> Attach | NeedsHistory:
        """A viewer that has read up to `position`, here or elsewhere: nothing is lost, nothing is sent twice.

        NeedsHistory: call again with `history`, the comments from that id on, oldest first, at most
        `resume_comments_max` + 1 of them. What even then can't be filled is told in an `event: gap`, and the viewer
        goes on like a new one. What can't be told apart (see rms/position.py) is sent again.
        """
        for comment in history or ():
            if comment.id >= self._held_from:
                self.append(comment, now_ms)  # everybody lacks it
        # After a node's death thousands come from the same place; the answer holds until something is appended.
        asked = (position, backfill, history is not None)
        answer = self._answers.get(asked)
        if answer is None:
            if len(self._answers) >= ANSWERS_MAX:
                self._answers.clear()
            answer = self._answers[asked] = self._place(position, backfill, history)
        return answer

    def _place(self, position: Position, backfill: int, history: Sequence[Comment] | None) -> Attach | NeedsHistory:
        here = self._find(position)
        if here is not None:
            return self._with_gaps(position, Attach(b"", here))
        floor = window_floor(position.high)
        if history is None and floor < self._held_from:
            return NeedsHistory(floor)
        elsewhere = {comment.id: comment for comment in history or ()}
        for comment_id in self._ids[bisect_left(self._ids, floor) :]:
            elsewhere.pop(comment_id, None)
        window = in_window(sorted({*elsewhere, *self._ids[bisect_left(self._ids, floor) :]}), position.high)
        lacks = missing(window, position)
        if lacks is None:
            if history is None:
                return NeedsHistory(floor)
            lacks = list(window)
        if history is not None and len(history) > self._limits.resume_comments_max:
            return self.gap(position, backfill, "too_far_behind")
        return self._catch_up(position, window, lacks, elsewhere, backfill)

    def _with_gaps(self, position: Position, attach: Attach) -> Attach:
        return Attach(self._gaps.untold(position, attach.offset) + attach.private, attach.offset)

    def _find(self, position: Position) -> int | None:
        """The offset where a viewer enters that stands exactly at this position. Equal sets are equal wherever they
        met. An erasure or a gap moves no position, so that it may be told again."""
        if position.count == 0:
            return None
        first = bisect_left(self._entries, position.high, key=_high)
        last = bisect_right(self._entries, position.high, key=_high)
        for entry in self._entries[first:last]:
            if entry.position == position:
                return entry.end if entry.kind == "comment" else entry.start
        return None

    def _catch_up(
        self, position: Position, window: Sequence[int], lacks: list[int], elsewhere: dict[int, Comment], backfill: int
    ) -> Attach:
        """Enter the log right behind the last comment of the viewer's window; send what it lacks before that alone."""
        known = set(window)
        cut = 0
        for index in range(len(self._entries) - 1, -1, -1):
            if self._entries[index].kind == "comment" and self._entries[index].id in known:
                cut = index + 1
                break
        before = {entry.id: entry for entry in self._entries[:cut] if entry.kind == "comment"}
        erasures = [entry for entry in self._entries[:cut] if entry.kind == "erasure" and entry.id > position.high]
        alone = {comment_id for comment_id in (*before, *elsewhere) if comment_id > position.high}
        alone.update(lacks)
        if len(alone) > self._limits.resume_comments_max:
            return self.gap(position, backfill, "too_far_behind")
        private = self._frames_alone(position, sorted(alone), known.difference(lacks), before, elsewhere)
        private += b"".join(map(self.frame, erasures))
        return self._with_gaps(position, Attach(private, self._start_of(cut)))

    def _frames_alone(
        self,
        position: Position,
        ids: Iterable[int],
        has: Iterable[int],
        before: dict[int, Entry],
        elsewhere: dict[int, Comment],
    ) -> bytes:
        """Frames for one viewer, each with the position of that viewer behind it."""
        window = Window(window_floor(position.high))
        for comment_id in sorted(has):
            window.add(comment_id)
        frames = []
        for comment_id in ids:
            window.add(comment_id)
            if comment_id in self._erased:
                continue
            if comment_id in elsewhere:
                data = comment_data(elsewhere[comment_id])
            else:
                data = frame_data(self.frame(before[comment_id]))
            then = window.position()
            assert then is not None
            frames.append(comment_frame(then, data))
        return b"".join(frames)

    def gap(self, position: Position | None, backfill: int, reason: str) -> Attach:
        """What the viewer lacks can't be filled: say from where to where, and go on with the last comments."""
        index, attach = self._backfill_index(backfill), self.join(backfill)
        payload = {
            "from": format_id(position.high) if position else None,
            "to": format_id(self._entries[index].id) if index < len(self._entries) else None,
            "reason": reason,
        }
        stands_at = self._entries[index - 1].position if index else None
        told = Attach(event_frame("gap", payload, stands_at) + attach.private, attach.offset)
        return self._with_gaps(position, told) if position else told


def _start(entry: Entry) -> int:
    return entry.start


def _end(entry: Entry) -> int:
    return entry.end


def _high(entry: Entry) -> int:
    return entry.position.high if entry.position else -1
