"""One video's feed: every event once, in the order of its arrival, as bytes that are the same for all viewers.

Rule 1: no clock, no socket, no store in here; `now_ms` (the wall clock) and what was read from history come in.
Rule 2: a viewer has no queue. A viewer is an offset in the log; joining and resuming only find the offset. The backfill
        is the last comments in the log, so it costs nothing to give it to a new viewer.
Rule 3: an event is in the log once, however often and from wherever it comes.
Rule 4: the log is held in bytes and arrays, not in objects: there are tens of thousands of quiet feeds.
rms/feed/resuming.py finds where a viewer goes on that was here, or at another node, before.
"""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple

from history.core.ids import first_id_at, time_of
from rms.feed.arrivals import Arrivals
from rms.feed.byte_log import ByteLog, FeedOffset, OffsetT
from rms.feed.event import AUTHOR_PURGED, COMMENT, ERASED, HIDDEN, RESTORED, Event, Promise
from rms.feed.gaps import Gaps
from rms.feed.position import KEPT_MS, LATE_MS, Had, Position, parse_position
from rms.feed.returned import Returned
from rms.feed.seen_ids import SeenIds
from rms.feed.sse import blank_frame, frame, frame_data, frame_position, position_frame
from rms.feed.withdrawn import Withdrawn, in_any_json

ABOUT_A_COMMENT = (ERASED, HIDDEN, RESTORED)
"""Kinds of events of which the last one of each comment holds"""

LATE_IDS_MAX = 1_000
"""late events that a feed remembers: each costs a look for each position from which viewers come"""

NOTHING_HIDDEN: Mapping[int, int] = {}

CLOSED_MS = 60_000
"""After this a hole below what history has counts as closed, though its service has published nothing since"""

VISIBLE, BLANK, CHANGE, GAP, RETURNED = range(5)
"""Kinds of entries: comment, one that isn't shown any more, any other event, gap, event that restored a comment"""


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


class Feed:
    __slots__ = (
        *("_at_ms", "_base_text", "_had", "_hidden", "_ids", "_joined", "_kinds", "_late", "_live"),
        *("_others", "_returned", "_seen", "_withdrawn"),
        *("complete_from", "gaps", "held_from", "limits", "log", "missing_from", "rewritten"),
    )

    def __init__(
        self,
        limits: FeedLimits,
        seed: Sequence[Event],
        complete_from: int | None,
        now_ms: int,
        hidden: Mapping[int, int] = NOTHING_HIDDEN,
    ) -> None:
        """seed: the video's last events from history, oldest first (see `read_from`); all that there are from id
        `complete_from` on. None: history can't be read, and its last events are appended later. hidden: services whose
        events from an id on may not have been readable."""
        self.limits = limits
        self.log: ByteLog[FeedOffset] = ByteLog()
        self.gaps = Gaps()
        self.held_from = first_id_at(now_ms) if complete_from is None else complete_from
        """every known event from this id on is in the log"""
        self.complete_from = complete_from or 0
        """Events below this id never were in this feed, and no viewer waits for them: pages have the comments."""
        self.missing_from: int | None = None
        """The chain of a service shows that events from this id on are missing. For the owner, who sets it back."""
        self.rewritten: list[FeedOffset] = []
        """Where frames begin that were overwritten in the log. For the owner, who empties it."""
        # One for each frame of the log: ids (0: a gap), times of arrival, kinds.
        self._ids, self._at_ms, self._kinds = array("Q"), Arrivals(now_ms), bytearray()
        self._others = 0  # entries that aren't VISIBLE
        # Nobody knows whether what was given an id a moment ago was readable already.
        base = 0 if complete_from is None else max(complete_from, first_id_at(now_ms - LATE_MS))
        # Who comes here has, or doesn't wait for, what is older than the seed: every position says so from the first.
        seed_ms = min(time_of(self.complete_from), now_ms - LATE_MS)
        if hidden:
            lowest = min(hidden.values())
            base, seed_ms = min(base, lowest), min(seed_ms, time_of(lowest))
        newest_ms = min(now_ms, time_of(seed[-1].id)) if seed else now_ms  # this node's clock alone must not say
        self._had = Had(max(newest_ms - KEPT_MS, seed_ms), base)
        self._base_text = self._had.text()  # the position at the log's beginning
        self._late: list[int] = []  # the events that came later than LATE_MS after others, the last ones
        self._live: dict[int, int] = {}  # by service: the highest id that was published here
        self._hidden = dict(hidden)  # services that have events in their spools, from which id on
        self._seen = SeenIds(limits.dedupe_ms, now_ms, (event.id for event in seed))
        self._withdrawn = Withdrawn()
        self._returned = Returned()  # what the entries that are RETURNED have brought back
        self._joined: tuple[tuple[int, int, int], Attach[FeedOffset]] | None = None  # the last `join`, and for what
        for event in seed:
            self._take(event, now_ms)
        self._had.advance(now_ms)

    def __len__(self) -> int:
        """entries in the log"""
        return len(self._ids)

    @property
    def position(self) -> Position:
        """Of a viewer that has read everything"""
        return self._had.position()

    @property
    def had(self) -> Had:
        """What was had here. For reading only."""
        return self._had

    def may_have_forgotten(self, event_id: int, now_ms: int) -> bool:
        """True if the id is unknown, and so old that it may have been here and have been forgotten since, or that some
        viewers may have had it before they came here.

        Whether such an event is to be sent can't be told. Old means: by this clock as well as beside the newest id. So
        one wrong clock makes nothing look old, nor does an outage after which events come in their order.
        """
        old_below = max(self._old_below(now_ms), self.complete_from)
        return event_id < old_below and event_id not in self._seen and event_id not in self._ids

    def _old_below(self, now_ms: int) -> int:
        high = self._had.high
        return 0 if high is None else first_id_at(min(now_ms, time_of(high)) - self.limits.dedupe_ms)

    # Events

    def append(self, event: Event, now_ms: int) -> bool:
        """Returns whether the log has changed: an event that has been here, or has no data, changes nothing there."""
        old_below = self._old_below(now_ms)
        if event.id in self._seen or (event.id < old_below and event.id in self._ids):
            self._count(event)
            return False
        self._seen.add(event.id, now_ms, old_below)
        self._had.advance(now_ms)
        if self._had.high is not None and event.id < first_id_at(time_of(self._had.high) - LATE_MS):
            self._late = [each for each in self._late[1 - LATE_IDS_MAX :] if each >= old_below] + [event.id]
        if not self._take(event, now_ms):
            return False
        self.trim(now_ms)
        return True

    def _take(self, event: Event, now_ms: int) -> bool:
        """An event that is new here. Returns whether the log has changed."""
        self._count(event)
        if event.kind == COMMENT:
            if not event.data or self._withdrawn.holds(event.id, event.data):
                return False
            self._append(event.id, frame(self._had.text(), event.name, event.data), now_ms, VISIBLE)
            return True
        if event.kind in ABOUT_A_COMMENT and not self._withdrawn.change(event):
            return False
        self._change(event, now_ms)
        if not event.data:
            return bool(self.rewritten)
        if event.kind == RESTORED:
            self._returned.add(event.id, event.target_id)
        kind = RETURNED if event.kind == RESTORED else CHANGE
        self._append(event.id, frame(self._had.text(), event.name, event.data), now_ms, kind)
        return True

    def _count(self, event: Event) -> None:
        """The position moves, whatever the event is."""
        missing_from = self._had.add(event.id, event.after_id, event.hidden_from_id or 0)
        if event.hidden_from_id is not None:
            service = event.id >> 6 & 1023
            live = self._live.get(service, 0)
            self._live[service] = max(event.id, live)
            self._hidden.pop(service, None)
            if event.hidden_from_id:
                self._hidden[service] = event.hidden_from_id
            if missing_from is None and (hole := self._had.hole_of(service)) is not None and live < hole[1]:
                missing_from = hole[0]  # an event from history lies above it: only now can a read close it
        if missing_from is not None:
            self.missing_from = missing_from if self.missing_from is None else min(missing_from, self.missing_from)

    def _append(self, event_id: int, data: bytes, now_ms: int, kind: int) -> None:
        self.log.append(data)
        self._ids.append(event_id)
        self._at_ms.add(now_ms)
        self._kinds.append(kind)
        self._others += kind != VISIBLE

    def _change(self, event: Event, now_ms: int) -> None:
        if event.kind in (ERASED, HIDDEN):
            # Also for a comment that comes after it. It is counted then, and not shown.
            self._seen.add(event.target_id, now_ms, 0)
            for index in self._returned.indices_of(event.target_id, self._ids):
                self._blank(index)
        elif event.kind == RESTORED and event.data:
            self._seen.add(event.target_id, now_ms, 0)  # who is here has it by this event
            for index in self._returned.indices_of(event.target_id, self._ids):
                self._show(index, event.data)
        elif event.kind == AUTHOR_PURGED:
            self._withdrawn.add(event.author_id, event.target_id)
            known_by = in_any_json(event.author_id)
            for index in list(range(len(self)) if known_by is None else self.log.frames_with(known_by)):
                kind, comment_id = self._kinds[index], self._returned.comment_of(self._ids[index])
                if kind in (VISIBLE, RETURNED) and self._withdrawn.holds(comment_id, frame_data(self.log.frame(index))):
                    self._blank(index)

    def _blank(self, index: int) -> None:
        if self._kinds[index] in (VISIBLE, RETURNED):
            self._overwrite(index, blank_frame(self.log.frame(index)), BLANK)
            self._returned.forget([self._ids[index]])

    def _show(self, index: int, data: bytes) -> None:
        """Writes a blank comment back to its place, for those who come later, if it still is as long."""
        blank = self.log.frame(index)
        shown = frame(frame_position(blank), "", data)
        if self._kinds[index] == BLANK and len(shown) == len(blank):
            self._overwrite(index, shown, VISIBLE)

    def _overwrite(self, index: int, data: bytes, kind: int) -> None:
        start = self.log.start_of(index)
        self._joined = None
        self.log.overwrite(start, data)
        self.rewritten.append(start)
        self._others += (kind != VISIBLE) - (self._kinds[index] != VISIBLE)
        self._kinds[index] = kind

    def add_gap(self, from_id: int, to_id: int, now_ms: int) -> None:
        """Appends an `event: gap`: events from `from_id` up to `to_id` (exclusive) may be missing, and won't come. A
        viewer that resumes from before the gap gets it, also when the log holds it no longer; a new viewer doesn't."""
        gap = self.gaps.add(from_id, to_id, self._had.high, self.log.end)
        self._append(0, gap.frame(self._had.text()), now_ms, GAP)
        self.trim(now_ms)

    def late_ids(self) -> Sequence[int]:
        """The last events that came later than LATE_MS after others: old ones that a viewer may not have"""
        return self._late

    def dropped_from(self, from_id: int) -> Iterator[int]:
        """The events from this id on that were here, and that the log holds no longer"""
        held = set(self._ids)
        return (event_id for event_id in self._seen.from_(from_id) if event_id not in held)

    # What was read from history

    def begin_at(self, from_id: int) -> None:
        """For a feed that was opened without its past, which is read now: no viewer waits for what is older."""
        self.complete_from = max(self.complete_from, from_id)
        self._had.begin_at(from_id)

    def reach_back(self, from_id: int, events: Sequence[Event], now_ms: int) -> None:
        """A viewer has come for whom history was read from this id on, which is older than this feed. From now on what
        comes late from there is new to somebody; what was read there is not, for the viewer gets what it lacks."""
        for event in events:
            if from_id <= event.id < self.complete_from:
                self._seen.add(event.id, now_ms, 0)
                self._count(event)
        self.complete_from = min(self.complete_from, from_id)

    def read_begins(self, now_ms: int) -> dict[int, int]:
        """To be called before a read from history. For each service whose chain has a hole: up to which id such a read
        finds all of its events. What a service has published was durable before, with all of its earlier events."""
        up_to = {}
        for service in self._had.services_with_holes:
            high = max(self._live.get(service, 0), first_id_at(now_ms - CLOSED_MS) | service << 6)
            up_to[service] = min(high, self._hidden.get(service, high + 1) - 1)
        return up_to

    def read_ended(self, from_id: int, up_to: dict[int, int]) -> None:
        """Everything that history has from this id on is appended. up_to: from `read_begins`. Holes are closed."""
        for service, high in up_to.items():
            if from_id <= high:
                self._had.claim(service, from_id, high)

    def promised(self, promise: Promise) -> None:
        """Everything that history has from the promise's first id on is appended, read after the promise was made."""
        self._hidden.pop(promise.service, None)
        if promise.from_id <= promise.up_to_id:
            self._had.claim(*promise)

    def sure_until(self, sure_ms: int | None) -> None:
        """This node may have missed events younger than this, of any service; None: it hasn't."""
        if sure_ms != self._had.sure_ms:
            self._had.sure_ms = sure_ms
            self._had.changed()

    # The log

    def trim(self, now_ms: int) -> None:
        """Drops what is too old or too much, but for the last entries."""
        limits, log, at_ms = self.limits, self.log, self._at_ms
        at_ms.note(now_ms)
        spare = len(at_ms) - limits.log_comments_min
        drop = 0
        while drop < spare and (
            log.end - log.start_of(drop) > limits.log_bytes_max or now_ms - at_ms[drop] > limits.log_age_ms_max
        ):
            drop += 1
        if drop:
            self._base_text = frame_position(log.frame(drop - 1))
            log.trim(log.start_of(drop))
            self.held_from = max(self.held_from, max(self._ids[:drop]) + 1)
            self._others -= drop - self._kinds[:drop].count(VISIBLE)
            self._returned.forget(self._ids[:drop])
            at_ms.drop(drop)
            del self._ids[:drop], self._kinds[:drop]

    def join(self, backfill: int) -> Attach[FeedOffset]:
        """Where a new viewer enters: it gets the last `backfill` comments, then what comes. Gaps and changes from
        before its time are nothing to it."""
        first = self.backfill_index(backfill)
        rest = self._kinds[first:]
        if rest.count(VISIBLE) == len(rest):
            return Attach(b"", self.log.start_of(first))
        asked = (self.log.base, self.log.end, backfill)
        if self._joined is None or self._joined[0] != asked:
            private = b"".join(self._shown_from(first)) + position_frame(self._had.text())
            self._joined = asked, Attach(private, self.log.end)  # many join at the same time
        return self._joined[1]

    def _shown_from(self, first: int) -> list[bytes]:
        """The comments from this index on. A restored one that stands nowhere else goes before the next younger one."""
        shown = [index for index in range(first, len(self)) if self._kinds[index] == VISIBLE]
        frames = [self.log.frame(index) for index in shown]
        lowest_id = self._ids[first] if first else self.held_from
        for event_id, behind in reversed(self._returned.places([self._ids[index] for index in shown], lowest_id)):
            next_index = shown[behind] if behind < len(shown) else len(self)
            text = frame_position(self.log.frame(next_index - 1)) if next_index else self._base_text
            frames.insert(behind, frame(text, "", frame_data(self.log.frame(self._ids.index(event_id)))))
        return frames

    def comments_held(self) -> int:
        return len(self) - self._others

    def backfill_index(self, backfill: int) -> int:
        """The index of the first entry that a new viewer is given"""
        index = len(self)
        if not self._others:
            return max(0, index - backfill)
        while index and backfill:
            index -= 1
            backfill -= self._kinds[index] == VISIBLE
        return index

    def entry(self, index: int) -> Entry:
        start, end = self.log.start_of(index), self.log.start_of(index + 1)
        return Entry(self._ids[index], start, end, self._at_ms[index], self._kinds[index])

    def entries(self) -> Iterator[Entry]:
        return map(self.entry, range(len(self)))

    def entries_from(self, offset: FeedOffset) -> Iterator[Entry]:
        """The entries whose frames stand at or behind `offset`, which is a frame's end"""
        return map(self.entry, range(self.log.index(offset), len(self)))

    def must_not_show(self, event: Event) -> bool:
        """It was read from history, and what has been here meanwhile takes its comment away."""
        return self._withdrawn.takes(event)

    @property
    def ids(self) -> Sequence[int]:
        """of the entries, in order; a gap's is 0"""
        return self._ids

    def frame(self, entry: Entry) -> bytes:
        return self.log.read(entry.start, entry.end - entry.start)

    def text_at(self, offset: FeedOffset) -> bytes | None:
        """The position, as text, of a viewer that has read the log up to this frame's end; None if it isn't known."""
        if offset < self.log.base:
            return None
        index = self.log.index(offset)
        return frame_position(self.log.frame(index - 1)) if index else self._base_text

    def position_at(self, offset: FeedOffset) -> Position | None:
        """As `text_at`"""
        text = self.text_at(offset)
        return None if text is None else parse_position(text.decode())
