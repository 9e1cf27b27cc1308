"""What a feed says, and doesn't, that was opened while history could not be read.

It knows only what has come since. Who comes new waits for nothing older, and a position must say so: else whoever is
cut would come back with a hole that reaches back for minutes, in which there is nothing for it. Who comes back with a
position may lack something older, and no position may claim that for it.
So while the past is missing, each place in the log has two positions: in the frames stands that of viewers who came
new, and beside them, in here, that of those who came back, which claims what was here and nothing else.

Rule: no clock, no socket.
"""

from collections import OrderedDict

from history.core.ids import first_id_at
from rms.feed.byte_log import FeedOffset
from rms.feed.position import LATE_MS, Had


class WithoutPast:
    __slots__ = ("_texts", "base", "began_id", "end", "had", "waits_from")

    def __init__(self, now_ms: int) -> None:
        """now_ms: when the feed begins; wall clock"""
        self.began_id = first_id_at(now_ms)
        # Clocks differ: an id may be somewhat older than the moment in which its comment was accepted.
        self.base = first_id_at(now_ms - LATE_MS)
        """No viewer who comes new waits for what is older."""
        self.had = Had(now_ms - LATE_MS, self.base)
        """of viewers who came new"""
        self.waits_from: int | None = None
        """The smallest id that somebody waits for who came back"""
        self.end: FeedOffset | None = None
        """in the log: from there on the frames' own positions hold for all. None: the past is still missing"""
        self._texts: OrderedDict[FeedOffset, bytes] = OrderedDict()  # ascending

    def note(self, offset: FeedOffset, text: bytes) -> None:
        """text: the position of one who came back and has read the log up to this frame's end"""
        self._texts[offset] = text

    def text_at(self, offset: FeedOffset) -> bytes | None:
        """As noted; None: the position in the frame holds"""
        return self._texts.get(offset)

    def wait_from(self, event_id: int) -> None:
        self.waits_from = event_id if self.waits_from is None else min(event_id, self.waits_from)

    def trimmed(self, base: FeedOffset) -> "WithoutPast | None":
        """The log begins there now. Returns what is still to be known: None if the past was there before."""
        while self._texts and next(iter(self._texts)) < base:
            self._texts.popitem(last=False)
        return None if self.end is not None and self.end <= base else self
