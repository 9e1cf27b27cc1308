"""Finds where in a feed a viewer goes on that has a position, from here or from another node: nothing is lost, nothing
is sent twice, and what can't be filled is announced as a gap.

Rule 1: no clock, no socket, no store in here; `now_ms` and what was read from history come in.
Rule 2: what all lack goes into the log; what one viewer lacks is sent to it alone, before it enters the log.
Rule 3: a viewer that has more than the feed enters the log with claims: what comes later and is claimed is left out for
        it (rms/feed/editions.py). While the feed lacks its past, nobody knows, so all who come back do.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from history.core.ids import first_id_at, format_id, time_of
from rms.feed.byte_log import FeedOffset
from rms.feed.entry import BLANK, Attach
from rms.feed.event import Event
from rms.feed.feed import Feed
from rms.feed.position import KEPT_MS, Claims, Had, Position, service_of
from rms.feed.sse import event_frame, frame, position_frame, with_position
from rms.feed.two_positions import beyond

OUTCOMES_MAX = 1_000
"""kept for viewers that resume from the same position"""

OUTCOMES_BYTES_MAX = 1 << 20
"""in these; beyond, they are made anew: a log of 4 MB may be given to each of a thousand positions"""


class NeedsHistory(NamedTuple):
    """Where this viewer enters can be told only with the events from this id on, out of history."""

    from_id: int


class Resuming:
    """Resumes the viewers of one feed."""

    __slots__ = ("_bytes", "_feed", "_outcomes", "_valid_for")

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._outcomes: dict[tuple[Position, int, bool], Attach[FeedOffset] | NeedsHistory] = {}
        self._bytes = 0  # in the outcomes
        self._valid_for = (feed.log.base, feed.log.end)  # the outcomes hold as long as the log stays as it is

    def is_ahead(self, position: Position) -> bool:
        """Whether a viewer with this position has more than the feed"""
        return not self._feed.had.covers(position, self._feed.complete_from)

    def claims_of(self, position: Position) -> Position:
        """What a viewer with this position claims if it enters with claims: what the feed doesn't have"""
        return beyond(position, self._feed.had)

    def resume(
        self, position: Position, backfill: int, now_ms: int, history: Sequence[Event] | None = None
    ) -> Attach[FeedOffset] | NeedsHistory:
        """NeedsHistory: call again with `history`, the events from that id on, oldest first, at most
        `resume_events_max` + 1 of them. What even then can't be filled is announced in an `event: gap`, and the viewer
        goes on like a new one."""
        feed = self._feed
        if history is not None and len(history) <= feed.limits.resume_events_max:
            feed.reach_back(self._from_id(position), history, now_ms)
        for event in history or ():
            if not feed.may_have_forgotten(event.id, now_ms):
                feed.append(event, now_ms)  # if it is new, all viewers lack it
        # After a node's death thousands come from the same position.
        key = (position, backfill, history is not None)
        log_is = (feed.log.base, feed.log.end)
        outcome = self._outcomes.get(key) if log_is == self._valid_for else None
        if outcome is None:
            is_full = len(self._outcomes) >= OUTCOMES_MAX or self._bytes > OUTCOMES_BYTES_MAX
            if log_is != self._valid_for or is_full:
                self._outcomes.clear()
                self._bytes, self._valid_for = 0, log_is
            outcome = self._outcomes[key] = self._enter(position, backfill, history)
            self._bytes += len(outcome.private) if isinstance(outcome, Attach) else 0
        return outcome

    def gap(self, position: Position | None, backfill: int, reason: str) -> Attach[FeedOffset]:
        """What the viewer lacks can't be filled: announces from where to where, and goes on with the last comments.

        position: None if unknown. reason: one of the API's."""
        feed = self._feed
        index, attach = feed.backfill_index(backfill), feed.join(backfill)
        first = next((event_id for event_id in feed.ids[index:] if event_id), None)
        payload = {
            "from": format_id(position.high) if position else None,
            "to": None if first is None else format_id(first),
            "reason": reason,
        }
        announced = event_frame("gap", payload, feed.text_at(feed.log.start_of(index)))
        return self._with_gaps(position, Attach(announced + attach.private, attach.offset))

    def _enter(
        self, position: Position, backfill: int, history: Sequence[Event] | None
    ) -> Attach[FeedOffset] | NeedsHistory:
        feed = self._feed
        if feed.lacks_past:
            return self._wait(position, backfill)
        is_ahead = self.is_ahead(position)
        from_id = self._from_id(position)
        if history is None and (is_ahead or from_id < feed.held_from):
            return NeedsHistory(from_id)
        if history is not None and len(history) > feed.limits.resume_events_max:
            return self.gap(position, backfill, "too_far_behind")
        claims = position.claims()
        if any(hole < feed.complete_from for hole in position.holes):
            # What is in there may still lie in a spool, and will never be in this feed.
            return self.gap(position, backfill, "too_far_behind")
        cut = len(feed) if is_ahead else self._cut(claims)
        before: list[Event] = []
        if history is not None:
            known = {event.id for event in history}
            if any(each not in known and not claims.cover(each) for each in feed.dropped_from(from_id)):
                return self.gap(position, backfill, "too_far_behind")  # it lies in a spool, where history can't read it
            held = set(feed.ids)
            before = [event for event in history if event.id not in held and not claims.cover(event.id)]
        lacks = self._lacks(claims, cut, before)
        if len(lacks) > feed.limits.resume_events_max:
            return self.gap(position, backfill, "too_far_behind")
        if is_ahead:
            return self._with_claims(position, lacks)
        frames, _ = self._frames(position, lacks, cut)
        return self._with_gaps(position, Attach(b"".join(frames), feed.log.start_of(cut)))

    def _wait(self, position: Position, backfill: int) -> Attach[FeedOffset]:
        """While the feed lacks its past: the viewer gets what has come since the feed began, and then what is appended,
        also out of history, without what it has."""
        feed, claims, from_id = self._feed, position.claims(), max(position.sure_from, position.floor)
        assert feed.without_past is not None
        began_ms = time_of(feed.without_past.began_id)
        # What is read for one goes to all then, so it must not be much.
        if from_id < first_id_at(began_ms - min(feed.limits.log_age_ms_max, KEPT_MS)):
            return self.gap(position, backfill, "history_unavailable")
        if from_id < feed.dropped_to and any(
            each < feed.dropped_to and not claims.cover(each) for each in feed.dropped_from(from_id)
        ):
            return self.gap(position, backfill, "history_unavailable")
        lacks = self._lacks(claims, len(feed), ())
        if len(lacks) > feed.limits.resume_events_max:
            return self.gap(position, backfill, "too_far_behind")
        feed.without_past.wait_from(from_id)
        return self._with_claims(position, lacks)

    def _with_claims(self, position: Position, lacks: dict[int, Event | int]) -> Attach[FeedOffset]:
        """The viewer enters at the log's end. lacks: up to there"""
        feed = self._feed
        frames, had = self._frames(position, lacks, len(feed))
        if frames:
            frames.append(position_frame(had.text()))
        return self._with_gaps(position, Attach(b"".join(frames), feed.log.end, self.claims_of(position)))

    def _from_id(self, position: Position) -> int:
        """From where on the viewer may lack something, also of what came late and isn't in the log any more"""
        late = self._feed.late_ids()
        if late:
            cover, held = position.claims().cover, self._feed.ids
            late = [event_id for event_id in late if not cover(event_id) and event_id not in held]
        return min(position.sure_from, position.high, *late)

    def _cut(self, claims: Claims) -> int:
        """The index behind the last entry that the viewer has: from there on it lacks everything."""
        feed, cover, first = self._feed, claims.cover, 0
        if feed.without_past is not None and feed.without_past.end is not None:
            first = feed.log.index(feed.without_past.end)  # the positions before are those of who came new
        for index in range(len(feed) - 1, first - 1, -1):
            if feed.ids[index] and cover(feed.ids[index]):
                return index + 1
        return first

    def _lacks(self, claims: Claims, cut: int, before: Sequence[Event]) -> dict[int, Event | int]:
        """By id what a viewer with these claims lacks before an index of the log: entries by their index there, and
        `before`, which isn't in the log."""
        ids = self._feed.ids
        lacks: dict[int, Event | int] = {event.id: event for event in before}
        lacks.update((ids[index], index) for index in range(cut) if ids[index] and not claims.cover(ids[index]))
        return lacks

    def _frames(self, position: Position, lacks: dict[int, Event | int], cut: int) -> tuple[list[bytes], Had]:
        """What the viewer lacks before an index of the log, each frame with the position that it has once it has read
        it; and what it has had then."""
        feed, had, frames = self._feed, Had.of(position), []
        highest = max(lacks, default=0)
        still_to_come: dict[int, list[int]] = {}  # by service, ascending
        for event_id in sorted(each for each in feed.ids[cut:] if each and each < highest):
            still_to_come.setdefault(service_of(event_id), []).append(event_id)
        for event_id in sorted(lacks):
            found, service = lacks[event_id], service_of(event_id)
            to_come = still_to_come.get(service, ())
            index = bisect_left(to_come, event_id)
            last = to_come[index - 1] if index else -1
            had.claim(service, max(feed.had.begin_of(event_id), last + 1), event_id)
            if isinstance(found, Event):
                if found.data and not feed.must_not_show(found):
                    frames.append(frame(had.text(), found.name, found.data))
            elif feed.entry(found).kind != BLANK:
                frames.append(with_position(feed.log.frame(found), had.text()))
        return frames, had

    def _with_gaps(self, position: Position | None, attach: Attach[FeedOffset]) -> Attach[FeedOffset]:
        if position is None:
            return attach
        return attach._replace(private=self._feed.gaps.unread(position, attach.offset) + attach.private)
