"""The gzipped form of another edition: one stream for viewers that came at different times, without state for any.

What has come since the last sweep is compressed on its own, with the bytes just before it as a preset dictionary. (RFC
1951 lets a block refer to 32 KB of earlier output, and a decoder can't tell that another compressor wrote it.) A block
may refer only to what every viewer has read: to what stands behind `_shared_from`, where the last one entered. Measured
on a real chat log, 243 bytes a comment, one comment a block: 75 % of the plain bytes without a dictionary, 33 % with
8 KB, 31 % with 16 KB, at some 50 us a block.

What was overwritten in the source must not be sent as it was. So the last blocks are made anew behind the log's end,
and viewers in the middle of the old ones go on in the new ones, at the same place of the source.

Rule: no clock, no socket; `now_ms` (the wall clock) comes in.
"""

import zlib
from bisect import bisect_left
from collections.abc import Callable
from itertools import pairwise
from typing import Any, cast

from rms.feed.byte_log import EditionOffset, FeedOffset
from rms.feed.editions import Edition, Reworked, SourceOffset, Stop, source_end_of
from rms.feed.entry import Attach
from rms.feed.sse import LAST_CHUNK, chunk, unchunked

DICTIONARY_BYTES = 8_192
"""Twice as many save another 3 % of the bytes and cost a third more time."""

BLOCK_BYTES_MAX = 32_768
"""of the source in one block: so much is compressed in a millisecond, and kept for a viewer whose socket is full"""

ANEW_BYTES_MAX = 65_536
"""of the source that are compressed once more when it was overwritten: viewers farther behind fall off"""

MOVED_MAX = 10_000
"""old offsets for which the new one is known: a viewer needs its own only until the next sweep has passed it"""

GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""RFC 1952: deflate, no time, unknown system. There is no trailer: it would need a state for each viewer, and clients
take a stream that ends without one."""


class GzipEdition(Reworked):
    """Another edition's log, compressed, each block a chunk."""

    encoding = "gzip"

    def __init__(self, source: Edition, now_ms: int, chunked: bool = True) -> None:
        """chunked: False: for viewers over HTTP/1.0"""
        super().__init__(source, now_ms)
        self.last = LAST_CHUNK if chunked else b""
        self._chunk: Callable[[bytes], bytes] = chunk if chunked else bytes
        self._shared_from = self._source.end  # every viewer has read the source from here on
        self._last_private: tuple[SourceOffset, SourceOffset, bytes] | None = None  # from where to where, compressed
        self._moved: dict[EditionOffset, EditionOffset] = {}

    def begin(self, data: bytes) -> bytes:
        return self._chunk(GZIP_HEAD + stored(unchunked(data)))

    def update(self, now_ms: int) -> None:
        self._edition.update(now_ms)
        self._trim()
        while (taken := self._taken) < self._source.end:
            farthest: Any = taken - DICTIONARY_BYTES
            start = self._source.frame_end(min(taken, max(self._shared_from, farthest, self._source.base)))
            end = self._block_end(taken)
            self._stop(end, self._block(taken, end, start))

    def _block(self, start: SourceOffset, end: SourceOffset, known_from: SourceOffset) -> bytes:
        """From a frame's end to another one. known_from: every viewer has read what stands between there and `start`"""
        data, known = self._source.read(start, end - start), self._source.read(known_from, start - known_from)
        return self._chunk(_deflate(unchunked(data), unchunked(known)))

    def _block_end(self, start: SourceOffset) -> SourceOffset:
        """Of the block that begins there: at a frame's end"""
        if self._source.end - start <= BLOCK_BYTES_MAX:
            return self._source.end
        full: Any = start + BLOCK_BYTES_MAX
        return self._source.frame_end(full)

    def attach(self, attach: Attach[FeedOffset], now_ms: int) -> Attach[EditionOffset]:
        """What a viewer gets up to the log's end is compressed for it; viewers that join together share that."""
        private, offset, _ = self._source_attach(attach, now_ms)
        self.update(now_ms)
        end = self._source.end
        self._shared_from = max(self._shared_from, offset)
        if private:
            own = self._chunk(_deflate(unchunked(private + self._source.read(offset, end - offset)), b""))
        elif offset == end:
            own = b""
        elif self._last_private is not None and self._last_private[:2] == (offset, end):
            own = self._last_private[2]
        else:
            own = self._block(offset, end, offset)
            self._last_private = (offset, end, own)
        return Attach(own, self.log.end)

    def rewrite(self, starts: list[FeedOffset]) -> list[EditionOffset]:
        """Returns nothing: no edition is made from this one."""
        rewritten = [start for start in self._source_rewrite(starts) if start < self._taken]
        self._last_private = None
        if rewritten:
            ends: list[Any] = [self._source.frame_end(cast("Any", start + 1)) for start in rewritten]
            self._shared_from = max(
                self._shared_from, *ends
            )  # what the viewers have read there is not what stands there
            self._make_anew(min(rewritten))
        return []

    def _make_anew(self, from_: SourceOffset) -> None:
        """The blocks behind that offset of the source are compressed once more, and those just before stay."""
        reach: Any = max(self._source.base, self._taken - ANEW_BYTES_MAX)
        first = bisect_left(self._stops, reach, key=source_end_of)
        old = self._stops[first:]
        blocks = [self.log.read(stop.end, after.end - stop.end) for stop, after in pairwise(old)]
        self.log.append(b"\n")  # so that no old offset is a new one
        self.log.trim(self.log.end)
        self._stops = [Stop(self.log.end, old[0].source_end)]
        for (before, stop), block in zip(pairwise(old), blocks, strict=True):
            if stop.source_end > from_:
                # Without a dictionary: some viewers have read what was overwritten, others haven't.
                block = self._block(before.source_end, stop.source_end, before.source_end)
            self._stop(stop.source_end, block)
        new = {stop.source_end: stop.end for stop in self._stops}
        moved = {stop.end: new[stop.source_end] for stop in old}
        known = {} if len(self._moved) > MOVED_MAX else self._moved
        self._moved = {end: moved[to] for end, to in known.items() if to in moved} | moved

    def moved(self, offset: EditionOffset) -> EditionOffset | None:
        to = self._moved.get(offset)
        return to if to is not None and to >= self.log.base else None

    def aside(self, data: bytes) -> bytes:
        """Some viewers get `data` between two blocks, which shifts what a reference hits: none goes back behind it."""
        self._shared_from = self._source.end
        return self._chunk(stored(unchunked(self._edition.aside(data))))


def stored(data: bytes) -> bytes:
    """A deflate block that is not compressed (RFC 1951, 3.2.4). data: at most 65,535 bytes"""
    size = len(data)
    return b"\x00" + size.to_bytes(2, "little") + (size ^ 0xFFFF).to_bytes(2, "little") + data


def _deflate(data: bytes, dictionary: bytes) -> bytes:
    """`data` as deflate blocks that end at a byte. dictionary: what the reader has read right before, or nothing"""
    if dictionary:
        compressor = zlib.compressobj(6, zlib.DEFLATED, -15, 8, zlib.Z_DEFAULT_STRATEGY, dictionary)
    else:
        compressor = zlib.compressobj(6, zlib.DEFLATED, -15, 8)
    return compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)
