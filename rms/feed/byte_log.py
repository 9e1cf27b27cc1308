"""A log of ready-made frames: bytes with absolute offsets, held from `base` to `end`. Knows no sockets and no clock.

Offsets only ever grow and are never reused, so a reader is an offset. Readers stand at the ends of frames only (a frame
that was written in part is finished from a copy), so trimming asks nobody.
"""

from bisect import bisect_left


class ByteLog:
    def __init__(self) -> None:
        self.base = 0
        """absolute offset of the first byte that is held"""
        self.end = 0
        """absolute offset behind the last byte"""
        self._bytes = bytearray()
        self._ends: list[int] = []

    def __len__(self) -> int:
        """bytes held"""
        return self.end - self.base

    def append(self, frame: bytes) -> int:
        """Returns the offset of the frame's end."""
        self._bytes += frame
        self.end += len(frame)
        self._ends.append(self.end)
        return self.end

    def read(self, offset: int, bytes_max: int) -> bytes:
        """The bytes from `offset` on, at most `bytes_max` of them. offset: base <= offset <= end"""
        start = offset - self.base
        return bytes(self._bytes[start : start + bytes_max])

    def frame_end(self, offset: int) -> int:
        """The first frame's end at or behind `offset`. offset: base <= offset <= end"""
        if offset == self.base:
            return offset
        return self._ends[bisect_left(self._ends, offset)]

    def frames(self, offset: int, end: int) -> int:
        """How many frames stand between two frames' ends"""
        return bisect_left(self._ends, end) - bisect_left(self._ends, offset + 1) + 1 if offset < end else 0

    def overwrite(self, offset: int, data: bytes) -> None:
        """Puts other bytes in the place of those at `offset`, as many as there were. For erasing only."""
        start = offset - self.base
        self._bytes[start : start + len(data)] = data

    def trim(self, offset: int) -> None:
        """Forgets everything before `offset`, which is a frame's end or `base`."""
        if offset > self.base:
            del self._bytes[: offset - self.base]
            del self._ends[: bisect_left(self._ends, offset + 1)]
            self.base = offset
