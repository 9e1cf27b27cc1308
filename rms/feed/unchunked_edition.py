"""Another edition without HTTP's chunks: for viewers over HTTP/1.0, whose body ends with the connection, and for
servers that make the chunks themselves. They are few: so the usual form is made once, and this one from it.

Rule: no clock, no socket; `now_ms` (the wall clock) comes in.
"""

from bisect import bisect_right
from typing import Any

from rms.feed.byte_log import EditionOffset, FeedOffset
from rms.feed.editions import Reworked, source_end_of
from rms.feed.entry import Attach
from rms.feed.sse import unchunked


class UnchunkedEdition(Reworked):
    """Another edition's log, frame by frame."""

    encoding = ""
    last = b""

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
        index = bisect_right(self._stops, offset, key=source_end_of) - 1
        return Attach(unchunked(private), self._stops[index].end)

    def rewrite(self, starts: list[FeedOffset]) -> list[EditionOffset]:
        """Returns nothing: no edition is made from this one."""
        for start in self._source_rewrite(starts):
            if self._stops[0].source_end <= start < self._taken:
                here = self._stops[bisect_right(self._stops, start, key=source_end_of) - 1].end
                behind: Any = start + 1
                self.log.overwrite(here, unchunked(self._source.read(start, self._source.frame_end(behind) - start)))
        return []

    def moved(self, offset: EditionOffset) -> EditionOffset | None:
        return None

    def aside(self, data: bytes) -> bytes:
        return unchunked(self._edition.aside(data))
