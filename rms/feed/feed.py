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

from history.core.ids import first_id_at, time_of
from rms.feed.arrivals import Arrivals
from rms.feed.byte_log import ByteLog, FeedOffset
from rms.feed.entry import BLANK, CHANGE, GAP, RETURNED, VISIBLE, Attach, Entry, FeedLimits
from rms.feed.event import AUTHOR_PURGED, COMMENT, ERASED, HIDDEN, RESTORED, Event, Promise
from rms.feed.gaps import Gaps
from rms.feed.position import KEPT_MS, LATE_MS, Had, Position
from rms.feed.readable import Readable
from rms.feed.returned import Returned
from rms.feed.seen_ids import SeenIds
from rms.feed.sse import blank_frame, frame, frame_data, frame_position, position_frame
from rms.feed.withdrawn import Withdrawn, in_any_json
from rms.feed.without_past import WithoutPast

ABOUT_A_COMMENT = (ERASED, HIDDEN, RESTORED)
"""Kinds of events of which the last one of each comment holds"""

LATE_IDS_MAX = 1_000
"""late events that a feed remembers: each costs a look for each position from which viewers come"""

NOTHING_HIDDEN: Mapping[int, int] = {}


class Feed:
    __slots__ = (
        *("_at_ms", "_base_text", "_had", "_ids", "_joined", "_kinds", "_late"),
        *("_others", "_readable", "_returned", "_seen", "_told", "_withdrawn"),
        *("complete_from", "dropped_to", "gaps", "held_from", "limits", "log", "missing_from", "rewritten"),
        "without_past",
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
        `complete_from` on. None: history can't be read, and its last events are appended later, until `past_is_read`.
        hidden: services whose events from an id on may not have been readable."""
        self.limits = limits
        self.log: ByteLog[FeedOffset] = ByteLog()
        self.gaps = Gaps()
        self.held_from = first_id_at(now_ms) if complete_from is None else complete_from
        """every known event from this id on is in the log"""
        self.dropped_to = 0
        """every event from this id on that was ever in the log still is"""
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
        self._had = self._told = Had(max(newest_ms - KEPT_MS, seed_ms), base)  # told: in the frames
        self.without_past: WithoutPast | None = None
        """What this feed doesn't know. Not None: its past is missing, or was when a part of the log was made."""
        if complete_from is None:
            self.without_past = WithoutPast(now_ms)
            self.without_past.note(self.log.end, self._had.text())
            self._told = self.without_past.had
        self._base_text = self._told.text()  # the position at the log's beginning
        self._late: list[int] = []  # the events that came later than LATE_MS after others, the last ones
        self._readable = Readable(hidden)
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
        """Of a viewer that came new and has read everything"""
        return self._told.position()

    @property
    def had(self) -> Had:
        """What was had here. For reading only."""
        return self._had

    def text(self) -> bytes:
        """As `position`, as text"""
        return self._told.text()

    @property
    def lacks_past(self) -> bool:
        """History could not be read yet."""
        return self._told is not self._had

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
        if self._told is not self._had:
            self._told.advance(now_ms)
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
            self._append(event.id, frame(self._told.text(), event.name, event.data), now_ms, VISIBLE)
            return True
        if event.kind in ABOUT_A_COMMENT and not self._withdrawn.change(event):
            return False
        self._change(event, now_ms)
        if not event.data:
            return bool(self.rewritten)
        if event.kind == RESTORED:
            self._returned.add(event.id, event.target_id)
        kind = RETURNED if event.kind == RESTORED else CHANGE
        self._append(event.id, frame(self._told.text(), event.name, event.data), now_ms, kind)
        return True

    def _count(self, event: Event) -> None:
        """The position moves, whatever the event is."""
        missing_from = self._had.add(event.id, event.after_id, event.hidden_from_id or 0)
        if self._told is not self._had:
            self._told.add(event.id, event.after_id)
        if event.hidden_from_id is not None:
            service = event.id >> 6 & 1023
            live = self._readable.live(service)
            self._readable.note(event)
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
        if self.without_past is not None and self.lacks_past:
            self.without_past.note(self.log.end, self._had.text())

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
        self._append(0, gap.frame(self._told.text()), now_ms, GAP)
        self.trim(now_ms)

    def late_ids(self) -> Sequence[int]:
        """The last events that came later than LATE_MS after others: old ones that a viewer may not have"""
        return self._late

    def dropped_from(self, from_id: int) -> Iterator[int]:
        """The events from this id on that were here, and that the log holds no longer"""
        held = set(self._ids)
        return (event_id for event_id in self._seen.from_(from_id) if event_id not in held)

    # What was read from history

    def past_is_read(self, from_id: int, up_to: dict[int, int], now_ms: int) -> None:
        """The missing past, everything that history has from this id on, is appended. up_to: from `read_begins`."""
        without = self.without_past
        assert without is not None
        # Who has been here waits for what it missed since the feed began, however far back the read went.
        self.complete_from = min(from_id, without.base)
        self.held_from = max(min(from_id, without.began_id), self.dropped_to)
        hidden = self._readable.lowest_hidden
        self._had.begin_at(min(without.base, hidden), min(time_of(min(self.complete_from, hidden)), now_ms - LATE_MS))
        self.read_ended(from_id, up_to)
        self._told = self._had
        self._append(0, position_frame(self._had.text()), now_ms, GAP)
        without.end = self.log.end

    def had_live(self, event_id: int, now_ms: int) -> bool:
        """For an event that was read while the past is missing: it came here long ago, and its id is forgotten."""
        assert self.without_past is not None
        return event_id >= self.without_past.began_id and self.may_have_forgotten(event_id, now_ms)

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
        return self._readable.up_to(self._had.services_with_holes, now_ms)

    def read_ended(self, from_id: int, up_to: dict[int, int]) -> None:
        """Everything that history has from this id on is appended. up_to: from `read_begins`. Holes are closed."""
        for service, high in up_to.items():
            if from_id <= high:
                self._had.claim(service, from_id, high)

    def promised(self, promise: Promise) -> None:
        """Everything that history has from the promise's first id on is appended, read after the promise was made."""
        self._readable.promised(promise.service)
        if promise.from_id <= promise.up_to_id:
            self._had.claim(*promise)

    def sure_until(self, sure_ms: int | None) -> None:
        """This node may have missed events younger than this, of any service; None: it hasn't."""
        if sure_ms != self._had.sure_ms:
            for had in (self._had, self._told):
                had.sure_ms = sure_ms
                had.changed()

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
            self.dropped_to = max(self.dropped_to, max(self._ids[:drop]) + 1)
            self.held_from = max(self.held_from, self.dropped_to)
            if self.without_past is not None:
                self.without_past = self.without_past.trimmed(log.base)
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
            private = b"".join(self._shown_from(first)) + position_frame(self._told.text())
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

    def claims_text_at(self, offset: FeedOffset) -> bytes | None:
        """As `text_at`, for viewers with claims: they may wait for what was missing when that frame was made."""
        text = None if self.without_past is None else self.without_past.text_at(offset)
        return self.text_at(offset) if text is None else text
