"""The forms in which a feed reaches viewers: plain, at most so many comments a second, without what some viewers have
already. Each of them can be gzipped, too (rms/feed/gzip_edition.py), or be without HTTP's chunks
(rms/feed/unchunked_edition.py).

Each edition is a byte log of its own, made once for all of its viewers, and follows its source: `update` brings it up
to date, `attach` translates an offset of the feed's log into one of the edition's. mypy knows three types of offsets
here: in the feed's log, in an edition's own log, and in the log that it is made from. Rule: no clock, no socket;
`now_ms` (the wall clock) comes in.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from typing import Generic, NamedTuple, NewType, Protocol, TypeVar, cast

from rms.feed.byte_log import ByteLog, EditionOffset, FeedOffset
from rms.feed.entry import BLANK, GAP, VISIBLE, Attach, Entry
from rms.feed.feed import Feed
from rms.feed.position import Position, parse_position
from rms.feed.sse import LAST_CHUNK, blank_frame, event_frame, frame_position, position_frame, with_position
from rms.feed.two_positions import merged

SourceOffset = NewType("SourceOffset", int)
"""In the log of the edition that another edition is made from: what is an EditionOffset there"""

SourceT = TypeVar("SourceT", bound=int)


class Form(NamedTuple):
    """The form in which a viewer gets the stream; each form of a feed is an edition."""

    rate: int | None = None
    """at most so many comments a second"""
    gzip: bool = False
    claims: Position | None = None
    """Not None: the viewer has more than the feed, and gets the stream without what this position claims"""
    chunked: bool = True
    """in HTTP's chunks; False: for HTTP/1.0, and for servers that make the chunks themselves"""
    beat_events: bool = False
    """Heartbeats are events, not comment lines."""

    @property
    def source(self) -> "Form | None":
        """The form whose edition this form's is made from; None: it is made from the feed"""
        if not self.gzip and self.chunked:
            return None
        return self._replace(gzip=False, chunked=True, beat_events=False)  # one for both


class Edition(Protocol):
    """A form of a feed"""

    log: ByteLog[EditionOffset]
    encoding: str
    """HTTP's Content-Encoding; empty: none"""
    last: bytes
    """ends a body behind a frame's end; empty: the connection's end does"""

    def begin(self, data: bytes) -> bytes:
        """The first bytes of a viewer's body. data: chunks for this viewer alone"""
        ...

    def update(self, now_ms: int) -> None:
        """Takes over what the source has got since the last time."""
        ...

    def attach(self, attach: Attach[FeedOffset], now_ms: int) -> Attach[EditionOffset]:
        """From where a viewer enters the feed's log to where it enters this one. Updates first."""
        ...

    def text_at(self, offset: EditionOffset) -> bytes | None:
        """The position, as text, of a viewer that has read this log up to a frame's end; None if it isn't known."""
        ...

    def rewrite(self, starts: list[FeedOffset]) -> list[EditionOffset]:
        """Frames of the feed's log, which begin there, were overwritten: what this log has of them is overwritten too.
        Returns where they begin here."""
        ...

    def moved(self, offset: EditionOffset) -> EditionOffset | None:
        """Where a viewer goes on whose offset lies before the log's beginning, because a part of the log was made anew;
        None: it has fallen off."""
        ...

    def aside(self, data: bytes) -> bytes:
        """`data`, chunks, in this edition's form: for viewers that stand at the log's end, beside the log"""
        ...


class PlainEdition:
    """The feed's own log."""

    encoding = ""
    last = LAST_CHUNK

    def __init__(self, feed: Feed) -> None:
        # The two logs are one here, and only here: their offsets are the same.
        self.log = cast("ByteLog[EditionOffset]", feed.log)
        self.text_at = cast("Callable[[EditionOffset], bytes | None]", feed.text_at)

    def begin(self, data: bytes) -> bytes:
        return data

    def update(self, now_ms: int) -> None:
        pass

    def attach(self, attach: Attach[FeedOffset], now_ms: int) -> Attach[EditionOffset]:
        return cast("Attach[EditionOffset]", attach)

    def rewrite(self, starts: list[FeedOffset]) -> list[EditionOffset]:
        return cast("list[EditionOffset]", starts)

    def moved(self, offset: EditionOffset) -> EditionOffset | None:
        return None

    def aside(self, data: bytes) -> bytes:
        return data


class Stop(NamedTuple, Generic[SourceT]):
    """The end of a frame here, and the end in the source's log of what it was made from"""

    end: EditionOffset
    source_end: SourceT


class Derived(Generic[SourceT]):
    """What editions with a log of their own share: translates offsets, and trims its log along with the source's."""

    def __init__(self, source: ByteLog[SourceT], start: SourceT) -> None:
        """start: offset in the source from which this edition has everything"""
        self.log: ByteLog[EditionOffset] = ByteLog()
        self._source = source
        self._stops = [Stop(self.log.end, start)]

    @property
    def _taken(self) -> SourceT:
        """the source's offset up to which all is taken over"""
        return self._stops[-1].source_end

    def _stop(self, source_end: SourceT, frame: bytes) -> None:
        if frame:
            self.log.append(frame)
        self._stops.append(Stop(self.log.end, source_end))

    def _trim(self) -> None:
        """Drops what the source has dropped."""
        if self._taken < self._source.base:
            # It dropped what was never taken over: every viewer falls off this log, and resumes in the feed.
            self.log.append(b"\n")
            self.log.trim(self.log.end)
            self._stops = [Stop(self.log.end, self._source.base)]
            return
        drop = bisect_left(self._stops, self._source.base, key=source_end_of)
        if drop:
            self.log.trim(self._stops[drop].end)
            del self._stops[:drop]

    def _source_of(self, offset: EditionOffset) -> SourceT | None:
        """The last offset in the source that this frame's end stands for; None if it is no longer known"""
        index = bisect_right(self._stops, offset, key=_end) - 1
        return self._stops[index].source_end if index >= 0 and self._stops[index].end == offset else None


class Reworked(Derived[SourceOffset]):
    """What editions share that are made from another edition: all of its log, in another form."""

    def __init__(self, source: "Edition", now_ms: int) -> None:
        """Begins at the source's end."""
        source.update(now_ms)
        log = cast("ByteLog[SourceOffset]", source.log)
        super().__init__(log, log.end)
        self._edition = source
        # What is the source's own offset there is one in the source here.
        self._source_attach = cast("Callable[[Attach[FeedOffset], int], Attach[SourceOffset]]", source.attach)
        self._source_text_at = cast("Callable[[SourceOffset], bytes | None]", source.text_at)
        self._source_rewrite = cast("Callable[[list[FeedOffset]], list[SourceOffset]]", source.rewrite)

    def text_at(self, offset: EditionOffset) -> bytes | None:
        source = self._source_of(offset)
        return None if source is None else self._source_text_at(source)


class FilteredEdition(Derived[FeedOffset]):
    """At most `rate` comments in each second; an `event: skipped` says how many were left out. Or the log without what
    `claims` covers, for viewers who have more than the feed: they get that from nowhere a second time."""

    encoding = ""
    last = LAST_CHUNK

    def __init__(
        self, feed: Feed, rate: int | None, now_ms: int, backfill: int, claims: Position | None = None
    ) -> None:
        """The feed's last `backfill` comments are taken over whole: the rate is for what comes after a backfill."""
        super().__init__(feed.log, feed.log.start_of(feed.backfill_index(backfill)))
        self._feed = feed
        self._backfill = backfill
        self._rate = rate
        self._claimed = claims
        self._claims = None if claims is None else claims.claims()
        self._second_ms = now_ms
        self._passed = 0  # comments in this second
        self._skipped = 0  # comments since the last `event: skipped`
        for entry in feed.entries_from(self._taken):
            self._pass(entry)

    def begin(self, data: bytes) -> bytes:
        return data

    def update(self, now_ms: int) -> None:
        self._trim()
        for entry in self._feed.entries_from(self._taken):
            self._next_second(entry.at_ms, entry.start)
            if entry.kind != VISIBLE or self._rate is None or self._passed < self._rate:
                self._passed += entry.kind == VISIBLE
                self._tell_skipped(entry.start)  # whoever has the position of this one was told what it lacks
                self._pass(entry)
            else:
                self._skipped += 1
                self._stop(entry.end, b"")
        self._next_second(now_ms, self._taken)

    def _pass(self, entry: Entry) -> None:
        self._stop(entry.end, self._frame(entry))

    def _frame(self, entry: Entry) -> bytes:
        """As these viewers get it"""
        frame = self._feed.frame(entry)
        if self._claims is None:
            return frame
        position = self._text_at(entry.end) or b""  # its frame is in the log
        if entry.kind != GAP and self._claims.cover(entry.id):
            return position_frame(position)
        return with_position(frame, position)

    def _text_at(self, offset: FeedOffset) -> bytes | None:
        """The position of these viewers at this frame's end in the feed's log; None if it isn't known"""
        if self._claimed is None:
            return self._feed.text_at(offset)
        text = self._feed.claims_text_at(offset)
        return None if text is None else str(merged(parse_position(text.decode()), self._claimed)).encode()

    def _next_second(self, now_ms: int, source_end: FeedOffset) -> None:
        """If a second is over, its skipped comments are counted in an event, also when no comment follows. It is over,
        too, when the clock has been set back: otherwise nothing would pass until the clock is there again."""
        if 0 <= now_ms - self._second_ms < 1_000:
            return
        self._second_ms, self._passed = now_ms, 0
        self._tell_skipped(source_end)

    def _tell_skipped(self, source_end: FeedOffset) -> None:
        if self._skipped:
            frame = event_frame("skipped", {"skipped": self._skipped}, self._text_at(source_end))
            self._skipped = 0
            self._stop(source_end, frame)

    def attach(self, attach: Attach[FeedOffset], now_ms: int) -> Attach[EditionOffset]:
        self.update(now_ms)
        first = self._stops[0]
        if attach.offset < first.source_end:
            return Attach(attach.private + self._before(attach.offset, first.source_end), first.end)
        index = bisect_right(self._stops, attach.offset, key=source_end_of) - 1
        return Attach(attach.private, self._stops[index].end)

    def _before(self, offset: FeedOffset, end: FeedOffset) -> bytes:
        """For a viewer that enters where this log no longer or not yet reaches: what the feed has up to there, of the
        comments the last `backfill` ones, and how many those before are."""
        entries = [entry for entry in self._feed.entries_from(offset) if entry.end <= end]
        skipped = max(0, sum(entry.kind == VISIBLE for entry in entries) - self._backfill)
        frames, rest = [], skipped
        for entry in entries:
            frame = self._frame(entry)
            if rest and entry.kind == VISIBLE:
                rest -= 1
                if not rest:
                    frames.append(event_frame("skipped", {"skipped": skipped}, frame_position(frame)))
            else:
                frames.append(frame)
        return b"".join(frames)

    def text_at(self, offset: EditionOffset) -> bytes | None:
        source = self._source_of(offset)
        return None if source is None else self._text_at(source)

    def rewrite(self, starts: list[FeedOffset]) -> list[EditionOffset]:
        rewritten = []
        for start in starts:
            entry = self._feed.entry(self._feed.log.index(start))
            index = bisect_left(self._stops, entry.end, key=source_end_of)  # behind it may be `skipped`
            if not 0 < index < len(self._stops) or self._stops[index].source_end != entry.end:
                continue
            here = self._stops[index - 1].end
            if old := self.log.read(here, self._stops[index].end - here):
                new = self._frame(entry)
                # Its position may have another length by now.
                self.log.overwrite(here, blank_frame(old) if entry.kind == BLANK or len(new) != len(old) else new)
                rewritten.append(here)
        return rewritten

    def moved(self, offset: EditionOffset) -> EditionOffset | None:
        return None

    def aside(self, data: bytes) -> bytes:
        return data


def _end(stop: Stop[SourceT]) -> EditionOffset:
    return stop.end


def source_end_of(stop: Stop[SourceT]) -> SourceT:
    """To look offsets of the source up"""
    return stop.source_end
