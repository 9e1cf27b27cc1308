"""Another edition without HTTP's chunks: for viewers over HTTP/1.0, whose body ends with the connection, and for
servers that make the chunks themselves. They are few: so the usual form is made once, and this one from it.

Rule: no clock, no socket; `now_ms` (the wall clock) comes in.
"""

from bisect import bisect_right
from collections.abc import Callable
from typing import Any, cast

from rms.feed.byte_log import ByteLog, EditionOffset, FeedOffset
from rms.feed.editions import Derived, Edition, SourceOffset, Stop
from rms.feed.feed import Attach
from rms.feed.sse import unchunked


class UnchunkedEdition(Derived[SourceOffset]):
    """Another edition's log, frame by frame."""

    encoding = ""
    last = b""

    def __init__(self, source: Edition, now_ms: int) -> None:
        source.update(now_ms)
        log = cast("ByteLog[SourceOffset]", source.log)
        super().__init__(log, log.end)
        self._edition = source
        self._source_attach = cast("Callable[[Attach[FeedOffset], int], Attach[SourceOffset]]", source.attach)
        self._source_text_at = cast("Callable[[SourceOffset], bytes | None]", source.text_at)
        self._source_rewrite = cast("Callable[[list[FeedOffset]], list[SourceOffset]]", source.rewrite)

    def begin(self, data: bytes) -> bytes:
        return unchunked(data)

    def update(self, now_ms: int) -> None:
        self._edition.update(now_ms)
        self._trim()
        while (taken := self._taken) < self._source.end:
            behind: Any = taken + 1
            end = self._source.frame_end(behind)
            self._stop(end, unchunked(self._source.read(taken, end - taken)))

    def attach(self, attach: Attach[FeedOffset], now_ms: int) -> Attach[EditionOffset]:
        private, offset, _ = self._source_attach(attach, now_ms)
        self.update(now_ms)
        first = self._stops[0]
        if offset < first.source_end:
            private += self._source.read(offset, first.source_end - offset)
            return Attach(unchunked(private), first.end)
        index = bisect_right(self._stops, offset, key=_source_end) - 1
        return Attach(unchunked(private), self._stops[index].end)

    def text_at(self, offset: EditionOffset) -> bytes | None:
        source = self._source_of(offset)
        return None if source is None else self._source_text_at(source)

    def rewrite(self, starts: list[FeedOffset]) -> list[EditionOffset]:
        """Returns nothing: no edition is made from this one."""
        for start in self._source_rewrite(starts):
            if self._stops[0].source_end <= start < self._taken:
                here = self._stops[bisect_right(self._stops, start, key=_source_end) - 1].end
                behind: Any = start + 1
                self.log.overwrite(here, unchunked(self._source.read(start, self._source.frame_end(behind) - start)))
        return []

    def moved(self, offset: EditionOffset) -> EditionOffset | None:
        return None

    def aside(self, data: bytes) -> bytes:
        return unchunked(self._edition.aside(data))


def _source_end(stop: Stop[SourceOffset]) -> SourceOffset:
    return stop.source_end
