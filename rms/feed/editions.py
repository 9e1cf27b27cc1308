"""The forms in which a feed reaches viewers: plain, at most so many comments a second, and either of them gzipped.

Each edition is a byte log of its own, made once for all of its viewers, and follows its source: `update` brings it up
to date, `attach` translates an offset of the feed's log into one of the edition's. mypy knows three types of offsets
here: in the feed's log, in an edition's own log, and in the log that it is made from. Rule: no clock, no socket;
`now_ms` (the wall clock) comes in.

One gzip stream serves viewers that came at different times, without state for any of them: what has come since the last
sweep is compressed on its own, with the bytes just before it as a preset dictionary. (RFC 1951 lets a block refer to
32 KB of earlier output, and a decoder can't tell that another compressor wrote it.) A block may refer only to what
every viewer has read: to what stands behind `_shared_from`, where the last one entered. Measured on a real chat log,
243 bytes a comment, one comment a block: 75 % of the plain bytes without a dictionary, 33 % with 8 KB, 31 % with 16 KB,
at some 50 us a block.
"""

import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, NewType, Protocol, TypeVar, cast

from rms.feed.byte_log import ByteLog, EditionOffset, FeedOffset
from rms.feed.feed import Attach, Feed
from rms.feed.position import Position
from rms.feed.sse import event_frame

DICTIONARY_BYTES = 8_192
"""Twice as many save another 3 % of the bytes and cost a third more time."""

GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""RFC 1952: deflate, no time, unknown system. There is no trailer, as an event stream has no end."""


SourceOffset = NewType("SourceOffset", int)
"""In the log of the edition that another edition is made from: what is an EditionOffset there"""

SourceT = TypeVar("SourceT", bound=int)


class Edition(Protocol):
    """A form of a feed"""

    log: ByteLog[EditionOffset]
    encoding: str
    """HTTP's Content-Encoding; empty: none"""

    def begin(self, data: bytes) -> bytes:
        """The first bytes of a viewer's body. data: whole lines for this viewer alone"""
        ...

    def update(self, now_ms: int) -> None:
        """Takes over what the source has got since the last time."""
        ...

    def attach(self, attach: Attach[FeedOffset], now_ms: int) -> Attach[EditionOffset]:
        """From where a viewer enters the feed's log to where it enters this one. Updates first."""
        ...

    def position_at(self, offset: EditionOffset) -> Position | None:
        """The position of a viewer that has read this log up to a frame's end; None if it is no longer known."""
        ...

    def purge(self) -> None:
        """Drops what was taken from the source so far, as it has been overwritten there: it is not to be sent."""
        ...

    def aside(self, data: bytes) -> bytes:
        """`data`, whole lines, in this edition's encoding: for viewers that stand at the log's end, beside the log"""
        ...


class PlainEdition:
    """The feed's own log."""

    encoding = ""

    def __init__(self, feed: Feed) -> None:
        # The two logs are one here, and only here: their offsets are the same.
        self.log = cast("ByteLog[EditionOffset]", feed.log)
        self.position_at = cast("Callable[[EditionOffset], Position | None]", feed.position_at)

    def begin(self, data: bytes) -> bytes:
        return data

    def update(self, now_ms: int) -> None:
        pass

    def attach(self, attach: Attach[FeedOffset], now_ms: int) -> Attach[EditionOffset]:
        return cast("Attach[EditionOffset]", attach)

    def purge(self) -> None:
        pass

    def aside(self, data: bytes) -> bytes:
        return data


class _Stop(NamedTuple, Generic[SourceT]):
    """The end of a frame here, and the end in the source's log of what it was made from"""

    end: EditionOffset
    source_end: SourceT


class _Derived(Generic[SourceT]):
    """What editions with a log of their own share: translates offsets, and trims its log along with the source's."""

    def __init__(self, source: ByteLog[SourceT], start: SourceT) -> None:
        """start: offset in the source from which this edition has everything"""
        self.log: ByteLog[EditionOffset] = ByteLog()
        self._source = source
        self._stops = [_Stop(self.log.end, start)]

    @property
    def _taken(self) -> SourceT:
        """the source's offset up to which all is taken over"""
        return self._stops[-1].source_end

    def _stop(self, source_end: SourceT, frame: bytes) -> None:
        if frame:
            self.log.append(frame)
        self._stops.append(_Stop(self.log.end, source_end))

    def _trim(self) -> None:
        """Drops what the source has dropped."""
        if self._taken < self._source.base:
            # It dropped what was never taken over: every viewer falls off this log, and resumes in the feed.
            self.log.append(b"\n")
            self.log.trim(self.log.end)
            self._stops = [_Stop(self.log.end, self._source.base)]
            return
        drop = bisect_left(self._stops, self._source.base, key=_source_end)
        if drop:
            self.log.trim(self._stops[drop].end)
            del self._stops[:drop]

    def purge(self) -> None:
        """Viewers at the log's end go on there; those behind it fall off it, and resume in the feed."""
        self.log.trim(self.log.end)
        del self._stops[:-1]

    def _source_of(self, offset: EditionOffset) -> SourceT | None:
        """The last offset in the source that this frame's end stands for; None if it is no longer known"""
        index = bisect_right(self._stops, offset, key=_end) - 1
        return self._stops[index].source_end if index >= 0 and self._stops[index].end == offset else None


class RateEdition(_Derived[FeedOffset]):
    """At most `rate` comments in each second; an `event: skipped` says how many were left out."""

    encoding = ""

    def __init__(self, feed: Feed, rate: int, now_ms: int, backfill: int) -> None:
        """The feed's last `backfill` comments are taken over whole: the rate is for what comes after a backfill."""
        super().__init__(feed.log, feed.join(backfill).offset)
        self._feed = feed
        self._backfill = backfill
        self._rate = rate
        self._second_ms = now_ms
        self._passed = 0  # comments in this second
        self._skipped = 0  # comments since the last `event: skipped`
        for entry in feed.entries_from(self._taken):
            self._stop(entry.end, feed.frame(entry))

    def begin(self, data: bytes) -> bytes:
        return data

    def update(self, now_ms: int) -> None:
        self._trim()
        for entry in self._feed.entries_from(self._taken):
            self._next_second(entry.at_ms, entry.start)
            is_comment = entry.kind == "comment"
            if self._passed < self._rate or not is_comment:
                self._passed += is_comment
                self._stop(entry.end, self._feed.frame(entry))
            else:
                self._skipped += 1
                self._stop(entry.end, b"")
        self._next_second(now_ms, self._taken)

    def _next_second(self, now_ms: int, source_end: FeedOffset) -> None:
        """If a second is over, its skipped comments are counted in an event, also when no comment follows."""
        if now_ms - self._second_ms < 1_000:
            return
        self._second_ms, self._passed = now_ms, 0
        if self._skipped:
            frame = event_frame("skipped", {"skipped": self._skipped}, self._feed.position_at(source_end))
            self._skipped = 0
            self._stop(source_end, frame)

    def attach(self, attach: Attach[FeedOffset], now_ms: int) -> Attach[EditionOffset]:
        self.update(now_ms)
        first = self._stops[0]
        if attach.offset < first.source_end:
            return Attach(attach.private + self._before(attach.offset, first.source_end), first.end)
        index = bisect_right(self._stops, attach.offset, key=_source_end) - 1
        return Attach(attach.private, self._stops[index].end)

    def _before(self, offset: FeedOffset, end: FeedOffset) -> bytes:
        """For a viewer that enters where this log no longer or not yet reaches: what the feed has up to there, of the
        comments the last `backfill` ones, and how many those before are."""
        entries = [entry for entry in self._feed.entries_from(offset) if entry.end <= end]
        skipped = max(0, sum(entry.kind == "comment" for entry in entries) - self._backfill)
        frames, rest = [], skipped
        for entry in entries:
            if rest and entry.kind == "comment":
                rest -= 1
                if not rest:
                    frames.append(event_frame("skipped", {"skipped": skipped}, entry.position))
            else:
                frames.append(self._feed.frame(entry))
        return b"".join(frames)

    def position_at(self, offset: EditionOffset) -> Position | None:
        source = self._source_of(offset)
        return None if source is None else self._feed.position_at(source)

    def aside(self, data: bytes) -> bytes:
        return data


class GzipEdition(_Derived[SourceOffset]):
    """Another edition's log, compressed."""

    encoding = "gzip"

    def __init__(self, source: Edition, now_ms: int) -> None:
        source.update(now_ms)
        log = cast("ByteLog[SourceOffset]", source.log)
        super().__init__(log, log.end)
        self._edition = source
        self._source_attach = cast("Callable[[Attach[FeedOffset], int], Attach[SourceOffset]]", source.attach)
        self._source_position_at = cast("Callable[[SourceOffset], Position | None]", source.position_at)
        self._shared_from = log.end  # every viewer has read the source from here on
        self._last_private: tuple[SourceOffset, SourceOffset, bytes] | None = None  # from where to where, compressed

    def begin(self, data: bytes) -> bytes:
        return GZIP_HEAD + stored(data)

    def update(self, now_ms: int) -> None:
        self._edition.update(now_ms)
        self._trim()
        taken, end = self._taken, self._source.end
        if taken < end:
            farthest: Any = taken - DICTIONARY_BYTES
            start = min(taken, max(self._shared_from, farthest, self._source.base))
            dictionary = self._source.read(start, taken - start)
            self._stop(end, _deflate(self._source.read(taken, end - taken), dictionary))

    def attach(self, attach: Attach[FeedOffset], now_ms: int) -> Attach[EditionOffset]:
        """What a viewer gets up to the log's end is compressed for it; viewers that join together share that."""
        private, offset = self._source_attach(attach, now_ms)
        self.update(now_ms)
        end = self._source.end
        self._shared_from = max(self._shared_from, offset)
        if private:
            own = _deflate(private + self._source.read(offset, end - offset), b"")
        elif self._last_private is not None and self._last_private[:2] == (offset, end):
            own = self._last_private[2]
        else:
            own = _deflate(self._source.read(offset, end - offset), b"")
            self._last_private = (offset, end, own)
        return Attach(own, self.log.end)

    def position_at(self, offset: EditionOffset) -> Position | None:
        source = self._source_of(offset)
        return None if source is None else self._source_position_at(source)

    def purge(self) -> None:
        """The source no longer is what the viewers have read: no block refers to what stands before its end."""
        self._edition.purge()
        super().purge()
        self._shared_from = self._source.end
        self._last_private = None

    def aside(self, data: bytes) -> bytes:
        """Some viewers get `data` between two blocks, which shifts what a reference hits: none goes back behind it."""
        self._shared_from = self._source.end
        return stored(self._edition.aside(data))


def stored(data: bytes) -> bytes:
    """A deflate block that is not compressed (RFC 1951, 3.2.4). data: at most 65,535 bytes"""
    size = len(data)
    return b"\x00" + size.to_bytes(2, "little") + (size ^ 0xFFFF).to_bytes(2, "little") + data


def _deflate(data: bytes, dictionary: bytes) -> bytes:
    """`data` as deflate blocks that end at a byte. dictionary: what the reader has read right before, or nothing"""
    if not data:
        return b""
    if dictionary:
        compressor = zlib.compressobj(6, zlib.DEFLATED, -15, 8, zlib.Z_DEFAULT_STRATEGY, dictionary)
    else:
        compressor = zlib.compressobj(6, zlib.DEFLATED, -15, 8)
    return compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)


def _end(stop: _Stop[SourceT]) -> EditionOffset:
    return stop.end


def _source_end(stop: _Stop[SourceT]) -> SourceT:
    return stop.source_end
