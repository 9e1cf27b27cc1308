"""Finds where in a feed a viewer goes on that has read up to a position, here or at another node: nothing is lost,
nothing is sent twice, and what can't be filled is announced as a gap.

Rule 1: no clock, no socket, no store in here; `now_ms` and what was read from history come in.
Rule 2: what all lack goes into the log; what one viewer lacks is sent to it alone, before it enters the log.
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

OUTCOMES_MAX = 1_000
"""kept for viewers that resume from the same position"""


class NeedsHistory(NamedTuple):
    """Where this viewer enters can be told only with the comments from this id on, out of history."""

    from_id: int


class Resuming:
    """Resumes the viewers of one feed."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._outcomes: dict[tuple[Position, int, bool], Attach[FeedOffset] | NeedsHistory] = {}
        self._valid_for = (feed.log.base, feed.log.end)  # the outcomes hold as long as the log stays as it is

    def resume(
        self, position: Position, backfill: int, now_ms: int, history: Sequence[Comment] | None = None
    ) -> Attach[FeedOffset] | NeedsHistory:
        """NeedsHistory: call again with `history`, the comments from that id on, oldest first, at most
        `resume_comments_max` + 1 of them. What even then can't be filled is announced in an `event: gap`, and the
        viewer goes on like a new one. What can't be told apart (see rms/feed/position.py) is sent again.
        """
        feed = self._feed
        for comment in history or ():
            if comment.id >= feed.held_from:
                feed.append(comment, now_ms)  # all viewers lack it
        # After a node's death thousands come from the same position.
        key = (position, backfill, history is not None)
        log_is = (feed.log.base, feed.log.end)
        if log_is != self._valid_for or len(self._outcomes) >= OUTCOMES_MAX:
            self._outcomes.clear()
            self._valid_for = log_is
        outcome = self._outcomes.get(key)
        if outcome is None:
            outcome = self._outcomes[key] = self._enter(position, backfill, history)
        return outcome

    def gap(self, position: Position | None, backfill: int, reason: str) -> Attach[FeedOffset]:
        """What the viewer lacks can't be filled: announces from where to where, and goes on with the last comments.

        position: None if unknown. reason: one of the API's."""
        feed = self._feed
        index, attach = feed.backfill_index(backfill), feed.join(backfill)
        payload = {
            "from": format_id(position.high) if position else None,
            "to": format_id(feed.entries[index].id) if index < len(feed.entries) else None,
            "reason": reason,
        }
        stands_at = feed.entries[index - 1].position if index else None
        announced = Attach(event_frame("gap", payload, stands_at) + attach.private, attach.offset)
        return self._with_gaps(position, announced) if position else announced

    def _enter(
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
        return Attach(self._feed.gaps.unread(position, attach.offset) + attach.private, attach.offset)

    def _find(self, position: Position) -> FeedOffset | None:
        """The offset where a viewer enters that stands exactly at this position, at whichever node it got there. An
        erasure or a gap moves no position: it may be sent again."""
        if not position.is_exact:
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
        """Enters the log right behind the last comment of the viewer's window; what it lacks before is private."""
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
        """Frames for one viewer, each with the position that this viewer has once it has read it"""
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
    return entry.position.high if entry.position else 0  # below every id
