"""An append-only log of whole frames: bytes with absolute offsets, held from `base` to `end`. Knows no socket and no
clock.

Offsets only grow and are never reused, so a reader is no more than an offset. A reader stands at a frame's end only
(the rest of a frame that was written in part is copied), so trimming needs to ask no reader.

An offset of one log means nothing in another. So a log is generic over the type of its offsets, and mypy reports where
two are mixed up. At run time they are plain ints. Arithmetic makes a plain int of an offset for mypy, too; here a local
annotated with `Any` makes it an offset again, which costs nothing.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Any, Generic, NewType, TypeVar, cast

FeedOffset = NewType("FeedOffset", int)
"""In a feed's log"""

EditionOffset = NewType("EditionOffset", int)
"""In an edition's log, see rms/feed/editions.py: what a viewer's place is counted in"""

OffsetT = TypeVar("OffsetT", bound=int)


class ByteLog(Generic[OffsetT]):
    base: OffsetT
    """absolute offset of the first byte that is held"""
    end: OffsetT
    """absolute offset behind the last byte"""

    def __init__(self) -> None:
        zero: Any = 0
        self.base = self.end = zero
        self._bytes = bytearray()
        self._ends = array("Q")

    def __len__(self) -> int:
        """bytes held"""
        return self.end - self.base

    def append(self, frame: bytes) -> OffsetT:
        """Returns the offset of the frame's end."""
        self._bytes += frame
        end: Any = self.end + len(frame)
        self.end = end
        self._ends.append(end)
        return self.end

    def read(self, offset: OffsetT, bytes_max: int) -> bytes:
        """The bytes from `offset` on, at most `bytes_max` of them. offset: base <= offset <= end"""
        start = offset - self.base
        return bytes(self._bytes[start : start + bytes_max])

    def frame_end(self, offset: OffsetT) -> OffsetT:
        """The first frame's end at or behind `offset`. offset: base <= offset <= end"""
        if offset == self.base:
            return offset
        end: OffsetT = cast("Any", self._ends[bisect_left(self._ends, offset)])
        return end

    def rest_of_frame(self, offset: OffsetT, taken: int) -> tuple[OffsetT, bytes]:
        """For a reader that has taken so many bytes from `offset` on: the end of the frame that this has cut, and the
        bytes up to there. base <= offset, offset + taken <= end"""
        cut: Any = offset + taken
        end = self.frame_end(cut)
        return end, self.read(cut, end - cut)

    def index(self, offset: OffsetT) -> int:
        """Which of the frames that are held begins at `offset`, a frame's end; the number of them at the log's end"""
        return 0 if offset == self.base else bisect_left(self._ends, offset) + 1

    def start_of(self, index: int) -> OffsetT:
        """Where the frame with this index begins, or the log's end behind the last one"""
        start: OffsetT = cast("Any", self._ends[index - 1]) if index else self.base
        return start

    def frame(self, index: int) -> bytes:
        start = self.start_of(index)
        return self.read(start, self._ends[index] - start)

    def frames(self, offset: OffsetT, end: OffsetT) -> int:
        """How many frames stand between two frames' ends"""
        return bisect_left(self._ends, end) - bisect_left(self._ends, offset + 1) + 1 if offset < end else 0

    def frames_with(self, needle: bytes) -> Iterator[int]:
        """The indices of the frames that have these bytes, which begin in one of them and don't go beyond it. Searching
        the bytes takes a hundredth of the time of looking at each frame."""
        at, ends = self._bytes.find(needle), self._ends
        while at >= 0:
            index = bisect_right(ends, self.base + at)
            yield index
            at = self._bytes.find(needle, ends[index] - self.base)

    def overwrite(self, offset: OffsetT, data: bytes) -> None:
        """Replaces the bytes at `offset` by as many others. For erasing only."""
        start = offset - self.base
        self._bytes[start : start + len(data)] = data

    def trim(self, offset: OffsetT) -> None:
        """Drops everything before `offset`, which is a frame's end or `base`."""
        if offset > self.base:
            del self._bytes[: offset - self.base]
            del self._ends[: bisect_left(self._ends, offset + 1)]
            self.base = offset
