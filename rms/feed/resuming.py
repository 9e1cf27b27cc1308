"""Where in a feed a viewer goes on that has read up to a position, here or elsewhere: nothing is lost, nothing is sent
twice, and what can't be filled is told.

Rule 1: no clock, no socket, no store in here; `now_ms` and what was read from history come in.
Rule 2: what many lack goes into the log; what one viewer lacks it gets alone, in front of it.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from history.core.ids import format_id
from history.core.model import Comment
from rms.feed.byte_log import FeedOffset
from rms.feed.feed import Attach, Entry, Feed
from rms.feed.position import Position, Window, in_window, missing, window_floor
from rms.feed.sse import comment_data, comment_frame, event_frame, frame_data

ANSWERS_MAX = 1_000
"""positions whose answers are kept for those who resume from the same one"""


class NeedsHistory(NamedTuple):
    """To place this viewer, comments from this id on must be read from history first."""

    from_id: int


class Resuming:
    """For one feed"""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._answers: dict[tuple[Position, int, bool], Attach[FeedOffset] | NeedsHistory] = {}
        self._answered_for = (0, 0)  # the log's base and end: the answers hold as long as it stays as it is

    def resume(
        self, position: Position, backfill: int, now_ms: int, history: Sequence[Comment] | None = None
    ) -> Attach[FeedOffset] | NeedsHistory:
        """NeedsHistory: call again with `history`, the comments from that id on, oldest first, at most
        `resume_comments_max` + 1 of them. What even then can't be filled is told in an `event: gap`, and the viewer
        goes on like a new one. What can't be told apart (see rms/feed/position.py) is sent again.
        """
        for comment in history or ():
            if comment.id >= self._feed.held_from:
                self._feed.append(comment, now_ms)  # everybody lacks it
        # After a node's death thousands come from the same place.
        asked = (position, backfill, history is not None)
        log_is = (self._feed.log.base, self._feed.log.end)
        if log_is != self._answered_for or len(self._answers) >= ANSWERS_MAX:
            self._answers.clear()
            self._answered_for = log_is
        answer = self._answers.get(asked)
        if answer is None:
            answer = self._answers[asked] = self._place(position, backfill, history)
        return answer

    def gap(self, position: Position | None, backfill: int, reason: str) -> Attach[FeedOffset]:
        """What the viewer lacks can't be filled: say from where to where, and go on with the last comments."""
        feed = self._feed
        index, attach = feed.backfill_index(backfill), feed.join(backfill)
        payload = {
            "from": format_id(position.high) if position else None,
            "to": format_id(feed.entries[index].id) if index < len(feed.entries) else None,
            "reason": reason,
        }
        stands_at = feed.entries[index - 1].position if index else None
        told = Attach(event_frame("gap", payload, stands_at) + attach.private, attach.offset)
        return self._with_gaps(position, told) if position else told

    def _place(
        self, position: Position, backfill: int, history: Sequence[Comment] | None
    ) -> Attach[FeedOffset] | NeedsHistory:
        here = self._find(position)
        if here is not None:
            return self._with_gaps(position, Attach(b"", here))
        floor = window_floor(position.high)
        if history is None and floor < self._feed.held_from:
            return NeedsHistory(floor)
        elsewhere = {comment.id: comment for comment in history or ()}
        held = self._feed.ids_from(floor)
        for comment_id in held:
            elsewhere.pop(comment_id, None)
        window = in_window(sorted({*elsewhere, *held}), position.high)
        lacks = missing(window, position)
        if lacks is None:
            if history is None:
                return NeedsHistory(floor)
            lacks = list(window)
        if history is not None and len(history) > self._feed.limits.resume_comments_max:
            return self.gap(position, backfill, "too_far_behind")
        return self._fill(position, window, lacks, elsewhere, backfill)

    def _with_gaps(self, position: Position, attach: Attach[FeedOffset]) -> Attach[FeedOffset]:
        return Attach(self._feed.gaps.untold(position, attach.offset) + attach.private, attach.offset)

    def _find(self, position: Position) -> FeedOffset | None:
        """The offset where a viewer enters that stands exactly at this position. Equal sets are equal wherever they
        met. An erasure or a gap moves no position, so that it may be told again."""
        if position.count == 0:
            return None
        entries = self._feed.entries
        first = bisect_left(entries, position.high, key=_high)
        last = bisect_right(entries, position.high, key=_high)
        for entry in entries[first:last]:
            if entry.position == position:
                return entry.end if entry.kind == "comment" else entry.start
        return None

    def _fill(
        self, position: Position, window: Sequence[int], lacks: list[int], elsewhere: dict[int, Comment], backfill: int
    ) -> Attach[FeedOffset]:
        """Enter the log right behind the last comment of the viewer's window; send what it lacks before that alone."""
        feed, known = self._feed, set(window)
        cut = 0
        for index in range(len(feed.entries) - 1, -1, -1):
            if feed.entries[index].kind == "comment" and feed.entries[index].id in known:
                cut = index + 1
                break
        before = {entry.id: entry for entry in feed.entries[:cut] if entry.kind == "comment"}
        erasures = [entry for entry in feed.entries[:cut] if entry.kind == "erasure" and entry.id > position.high]
        alone = {comment_id for comment_id in (*before, *elsewhere) if comment_id > position.high}
        alone.update(lacks)
        if len(alone) > feed.limits.resume_comments_max:
            return self.gap(position, backfill, "too_far_behind")
        private = self._frames_alone(position, sorted(alone), known.difference(lacks), before, elsewhere)
        private += b"".join(map(feed.frame, erasures))
        return self._with_gaps(position, Attach(private, feed.start_of(cut)))

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
            if comment_id in self._feed.erased:
                continue
            if comment_id in elsewhere:
                data = comment_data(elsewhere[comment_id])
            else:
                data = frame_data(self._feed.frame(before[comment_id]))
            then = window.position()
            assert then is not None
            frames.append(comment_frame(then, data))
        return b"".join(frames)


def _high(entry: Entry) -> int:
    return entry.position.high if entry.position else -1
