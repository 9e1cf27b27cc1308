"""A spool on this machine's disk: it makes comments durable while the store is away.

It consists of files (segments) in one folder, each written once from its beginning to its end; core/spool_format.py has
their format. `append` returns after an fsync that covers its comments, so they survive kill -9 and the loss of power.
GroupCommit hands over batches, so what arrives together is written together. A segment is removed as a whole, once all
of its comments are in the store. A crash before that only stores some of them twice, and the store is idempotent by id.

A record that could not be written or fsynced ends its segment: after a failed fsync it is unknown what of the file has
reached the disk, and a later fsync that succeeds says nothing about it.

While a process runs, its disk may be unmounted and mounted anew. Then the open file is no longer the one at its path:
who writes on there writes for nobody. So each append looks, begins a new segment in the folder that is there now, and
fails while there is none. What was spooled before is still in memory, and is drained from there.

A file that a disk has damaged is never deleted. Its good records are drained, and then it is kept under another name. A
file that a newer release has written stays as it is, for that release to drain.

Files are read and written in one thread of its own; everything else belongs to one event loop. All comments are also
in memory, about three times `bytes_max`: readers of this node see them, and draining reads no files.
"""

import asyncio
import fcntl
import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import structlog

from history.core.model import Comment
from history.core.spool_format import MAGIC, SpooledKey, encode_records, is_of_newer_release, read_segment
from history.core.spooled_comments import SpooledComments
from history.store import Claim, Claimed, StoreOverloaded, StoreUnavailable

T = TypeVar("T")

LOCK = "lock"
SUFFIX = ".spool"
DAMAGED_SUFFIX = ".damaged"
"""Of a file that nobody reads any more"""

_log = structlog.stdlib.get_logger()


class SpoolFull(StoreOverloaded):
    """The store has been away for longer than the spool has room."""


class SpoolFailed(StoreUnavailable):
    """This machine's disk fails. It says nothing about the store."""


class SpoolInUse(Exception):
    """Another process writes to the folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"another process spools to {folder}; give each process a folder of its own")


@dataclass(frozen=True, slots=True)
class SpoolStatistics:
    comments: int  # held now
    bytes: int  # on disk
    bytes_max: int
    oldest_created_at_ms: int | None  # None: empty


@dataclass(slots=True)
class Segment:
    path: Path
    size: int = 0  # bytes that count against the limit
    comments: list[Comment] = field(default_factory=list)
    keys: dict[int, SpooledKey] = field(default_factory=dict)
    """of those comments that came with one, by id"""
    is_damaged: bool = False
    """some of its records can't be read"""

    def keyed(self, comments: Sequence[Comment]) -> list[Claimed]:
        """Those of them that came with an Idempotency-Key, each with the claim that it would make"""
        found = [(comment, self.keys[comment.id]) for comment in comments if comment.id in self.keys]
        return [(c, Claim(c.author.id, c.video_id, k.key, c.id, c.created_at_ms, k.digest)) for c, k in found]

    def end(self) -> None:
        """Nothing of it has to be drained any more. Raises OSError."""
        if self.is_damaged:
            with suppress(FileNotFoundError):
                self.path.rename(self.path.with_suffix(DAMAGED_SUFFIX))
        else:
            self.path.unlink(missing_ok=True)


class Spool:
    """Make it with `open`."""

    def __init__(self, folder: Path, *, bytes_max: int, segment_bytes_max: int) -> None:
        self._folder = folder
        self._bytes_max = bytes_max
        self._segment_bytes_max = segment_bytes_max
        self._segments: deque[Segment] = deque()  # the oldest first
        self._number = 0  # of the newest segment
        self._writing: Segment | None = None  # the last of `_segments`, while it takes more
        self._fd: int | None = None  # of `_writing`
        self._lock_fd: int | None = None
        self._bytes = 0  # on disk, and on the way there
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self.comments = SpooledComments()

    @classmethod
    def open(cls, folder: Path, *, bytes_max: int, segment_bytes_max: int) -> "Spool":
        """Takes over what the last process left, without what it didn't finish writing. Reads up to bytes_max.

        Raises SpoolInUse, and OSError if the folder can't be used.
        """
        spool = cls(folder, bytes_max=bytes_max, segment_bytes_max=segment_bytes_max)
        folder.mkdir(parents=True, exist_ok=True)
        spool._lock()
        for path in folder.glob(f"*{DAMAGED_SUFFIX}"):
            spool._pass_number(path)
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            spool._recover(path)
        return spool

    def adopt(self, folder: Path) -> int:
        """Moves another spool's segments here, as long as there is room: at least one, if this one is empty. Returns
        the greatest id in them; 0: none. Call it before anything is appended.

        Raises SpoolInUse if a process holds the other spool, and OSError; what was moved until then stays here.
        """
        other, high_id = Spool(folder, bytes_max=self._bytes_max, segment_bytes_max=self._segment_bytes_max), 0
        other._lock()
        try:
            for path in sorted(folder.glob(f"*{SUFFIX}")):
                if self._segments and self._bytes + path.stat().st_size > self._bytes_max:
                    _log.error("spool_left", folder=str(folder), reason="no room; it is adopted at a later start")
                    break
                self._number += 1
                here = self._folder / f"{self._number:012d}{SUFFIX}"
                path.rename(here)
                high_id = max([high_id, *(comment.id for comment in self._recover(here))])
        finally:
            other.release()
        return high_id

    @property
    def is_empty(self) -> bool:
        return not self._segments

    @property
    def has_room(self) -> bool:
        """A segment's worth is free. With less, a batch may still fit."""
        return self._bytes + self._segment_bytes_max <= self._bytes_max

    def statistics(self) -> SpoolStatistics:
        oldest = next((segment.comments[0].created_at_ms for segment in self._segments if segment.comments), None)
        return SpoolStatistics(len(self.comments), self._bytes, self._bytes_max, oldest)

    def low_id(self) -> int | None:
        """The smallest id in it. Looks at every comment."""
        return min((comment.id for segment in self._segments for comment in segment.comments), default=None)

    def high_id(self) -> int | None:
        """The greatest id in it. Looks at every comment."""
        return max((comment.id for segment in self._segments for comment in segment.comments), default=None)

    async def append(self, comments: Sequence[Comment], keys: Mapping[int, SpooledKey]) -> None:
        """Returns when they are durable here, with the keys of those that came with one. Raises SpoolFull, and
        StoreUnavailable if the disk fails."""
        records = encode_records(comments, keys)
        if self._bytes + len(records) > self._bytes_max:
            raise SpoolFull(f"the store is away, and the spool is full: {self._bytes} of {self._bytes_max} bytes")
        self._bytes += len(records)
        try:
            await self._in_thread(lambda: self._write(records, comments, keys))
        except BaseException:
            self._bytes -= len(records)
            raise
        self.comments.add(comments)

    async def sealed(self) -> list[Segment]:
        """All segments, the oldest first; they take no more comments."""
        segments = list(self._segments)
        if segments:
            await self._in_thread(lambda: self._seal(segments[-1]))
        return segments

    async def drop(self, segment: Segment, comments: Sequence[Comment]) -> None:
        """These comments of a sealed segment are in the store. Once all of them are, the segment is removed. Raises
        SpoolFailed; then it is still there."""
        ids = {comment.id for comment in comments}
        left = [comment for comment in segment.comments if comment.id not in ids]
        if not left:
            await self._in_thread(segment.end)
            self._segments.remove(segment)
            self._bytes -= segment.size
        segment.comments = left
        for comment_id in ids:
            segment.keys.pop(comment_id, None)
        self.comments.remove(comments)

    async def close(self) -> None:
        """What it holds stays for the next process."""
        await asyncio.to_thread(self._thread.shutdown)
        self.release()

    def release(self) -> None:
        """Closes its files. Nothing may be being written."""
        self._end_segment()
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            waiter = asyncio.get_running_loop().run_in_executor(self._thread, work)
        except RuntimeError:
            raise StoreUnavailable("the spool is closed") from None
        try:
            return await waiter
        except (OSError, SpoolInUse) as error:
            raise SpoolFailed(f"spool: {error}") from error

    def _write(self, records: bytes, comments: Sequence[Comment], keys: Mapping[int, SpooledKey]) -> None:
        segment, fd = self._writing, self._fd
        is_full = segment is None or segment.size + len(records) > self._segment_bytes_max
        if segment is None or fd is None or is_full or not _is_at(segment.path, fd):
            segment, fd = self._begin_segment()
        try:
            _write_all(fd, records)
            os.fdatasync(fd)
        except OSError:
            self._abandon(segment, fd)
            raise
        if not segment.comments:
            self._segments.append(segment)
        segment.size += len(records)
        segment.comments += comments
        segment.keys.update(keys)

    def _begin_segment(self) -> tuple[Segment, int]:
        """With its file descriptor. Its name in the folder is durable before anything in it is acknowledged."""
        self._end_segment()
        if self._lock_fd is not None and not _is_at(self._folder / LOCK, self._lock_fd):
            gone_fd = self._lock_fd
            self._lock()
            os.close(gone_fd)
            _log.warning("spool_folder_replaced", folder=str(self._folder), only_in_memory=len(self.comments))
        self._number += 1
        segment = Segment(self._folder / f"{self._number:012d}{SUFFIX}")
        fd = os.open(segment.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._writing, self._fd = segment, fd
        try:
            _write_all(fd, MAGIC)
            _fsync_folder(self._folder)
        except OSError:
            self._abandon(segment, fd)
            raise
        return segment, fd

    def _abandon(self, segment: Segment, fd: int) -> None:
        """Cuts off the records of the failed write: their authors got an error, so they must not come back."""
        with suppress(OSError):
            os.ftruncate(fd, len(MAGIC) + segment.size)
        self._end_segment()
        if not segment.comments:
            with suppress(OSError):
                segment.path.unlink(missing_ok=True)

    def _seal(self, segment: Segment) -> None:
        if segment is self._writing:
            self._end_segment()

    def _end_segment(self) -> None:
        self._writing = None
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _recover(self, path: Path) -> Sequence[Comment]:
        """A segment of a former process, and its comments. It takes nothing more, so a torn tail can only be at its
        end."""
        self._pass_number(path)
        content = path.read_bytes()
        if is_of_newer_release(content):
            _log.error("spool_file_of_newer_release", file=str(path), bytes=len(content), reason="start that release")
            return []
        read = read_segment(content)
        segment = Segment(path, read.size - len(MAGIC), read.comments, read.keys, is_damaged=read.damaged_bytes > 0)
        if segment.is_damaged:
            _log.error(
                "spool_file_damaged",
                file=str(path),
                lost_bytes=read.damaged_bytes,
                kept_comments=len(read.comments),
                kept_as=path.with_suffix(DAMAGED_SUFFIX).name,
            )
        elif read.size < len(content):
            _log.warning("spool_tail_cut", file=path.name, cut_bytes=len(content) - read.size, kept_bytes=read.size)
        if not segment.comments:
            segment.end()
            return []
        if not segment.is_damaged:
            os.truncate(path, read.size)
        self._segments.append(segment)
        self._bytes += segment.size
        self.comments.add(segment.comments)
        return segment.comments

    def _pass_number(self, path: Path) -> None:
        """No new segment gets this file's name."""
        with suppress(ValueError):
            self._number = max(self._number, int(path.stem))

    def _lock(self) -> None:
        """The kernel releases it, however the process ends. Raises SpoolInUse, and OSError."""
        lock_fd = os.open(self._folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock_fd)
            raise SpoolInUse(self._folder) from None
        self._lock_fd = lock_fd


def _is_at(path: Path, fd: int) -> bool:
    """Whether the open file is the one at the path"""
    try:
        return os.path.samestat(os.stat(path), os.fstat(fd))
    except FileNotFoundError:
        return False


def _write_all(fd: int, content: bytes) -> None:
    """The kernel may take only a part: the disk becomes full, or a signal comes."""
    left = memoryview(content)
    while left:
        left = left[os.write(fd, left) :]


def _fsync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
