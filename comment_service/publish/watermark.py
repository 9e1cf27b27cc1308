"""Saves the outbox's watermark to a file, so that kill -9 at any moment loses no comment whose author got a 200.

What the file must say. A comment passes these moments: (a) its id is given, (b) it is durable in the store, (c) its
author gets a 200, (d) a dispatcher answers its publish. A process that is killed between (b) and (d) leaves a comment
that nobody will publish: only history knows it. The next process doesn't know which comments these are, and it needn't:
it sends one `catch_up_from_id`, and every RMS node reads its videos' history from there and drops the ids that it has.
So one number is enough: a bound W such that each comment below W has passed (d), or will never pass (c).

Why an old W still holds. W is the smallest id that has passed (a) but not (d), or the next id if there is none. All
later ids are larger. So the file need not be current at the kill: a W from 100 ms before covers whatever happened in
between, and the catch-up only reads a little more. Nothing waits for this file, neither (b) nor (c).

    killed …                                  what covers the comment
    before (b)                                nothing has to: no 200 was sent
    between (b) and (d), W written before (a)  W was the next id then, or a smaller one
    between (b) and (d), W written after (a)   W is at most its id: ids count from (a), not from (b)
    after (d)                                 the viewers have it; W may still be below it: read twice, dropped by id
    during the start's own catch-up           W stays at the old process's W until that catch-up is answered

After a clean end nothing is owed, and the file says `clean` behind W. The next process rewrites the file without that
word before it gives its first id: from then on a kill must find a W that counts.

Without a file (a first start, or a new disk) the next process looks back by a configured time.

W says nothing of the newest id: a new process whose clock stands below that would give ids a second time. It may stand
there, because clocks are set back, and because ids run ahead of the clock when another service's is ahead. So the file
also says up to which id this process may have given them, always up to a second ahead of what it gives, and the next
one begins above that. It is written before the first of these ids is stored (publisher.py).

The file is replaced by one rename, so a reader sees the old or the new one, never half of one. There is no fsync: once
written, the bytes are in the kernel, and kill -9 doesn't remove them. After a power loss the file may be older, empty
or gone; an older one holds, and the others count as no file.
"""

import errno
import fcntl
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

import structlog

from comment_service.core.outbox import Outbox, OutboxLimits
from history.core.ids import IdSource, InvalidId, first_id_at, format_id, parse_id, time_of

log = structlog.stdlib.get_logger()

_CLEAN = "clean"
_IDS_UP_TO = "ids-up-to-"


class StateDirInUse(Exception):
    """Another process has the same node number and the same folder."""

    def __init__(self, path: Path, node: int) -> None:
        super().__init__(
            f"another comment_service with node {node} runs on {path}; give each process its own --node: "
            "two with the same number would give the same ids"
        )


def lives(state_dir: Path, node: int) -> bool:
    """Whether a process with that number and this folder lives"""
    if not (state_dir / f"published-node{node}.lock").exists():
        return False
    try:
        Watermark(state_dir, node).hold().release()
    except StateDirInUse:
        return True
    return False


class Saved(NamedTuple):
    low_id: int
    clean: bool
    """the process ended with nothing left to publish"""
    ids_up_to: int = 0
    """it may have given ids up to this one; 0: all were below low_id"""


class Watermark:
    """One file for each node number, and a lock on it for as long as the process lives"""

    def __init__(self, state_dir: Path, node: int) -> None:
        self._path = state_dir / f"published-node{node}"
        self._node = node
        self._lock_fd: int | None = None
        self._writing = threading.Lock()
        self.ids_up_to = 0
        """up to which id this process may give some: goes into all that is written. 0: it has given none"""

    def hold(self) -> Self:
        """Makes the folder and takes the lock; the kernel releases it however the process ends.

        Raises StateDirInUse, and OSError if the folder can't be written.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._lock()
        return self

    def _lock(self) -> None:
        lock_fd = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock_fd)
            raise StateDirInUse(self._path.parent, self._node) from None
        self._lock_fd = lock_fd

    def _lock_again(self) -> None:
        """If the folder was replaced: its disk was mounted anew. Raises OSError while there is none."""
        if self._lock_fd is None:
            return
        with suppress(FileNotFoundError):
            if os.path.samestat(os.stat(self._path.with_suffix(".lock")), os.fstat(self._lock_fd)):
                return
        gone_fd = self._lock_fd
        try:
            self._lock()
        except StateDirInUse as error:
            raise OSError(errno.EBUSY, str(error)) from error
        os.close(gone_fd)

    def release(self) -> None:
        """Does nothing unless it is held."""
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def read(self) -> Saved | None:
        """What the last process saved; None if there is no file, or none that can be read"""
        try:
            words = self._path.read_text().split()
            up_to = next((word.removeprefix(_IDS_UP_TO) for word in words[1:] if word.startswith(_IDS_UP_TO)), None)
            return Saved(parse_id(words[0]), _CLEAN in words[1:], 0 if up_to is None else parse_id(up_to))
        except (OSError, UnicodeDecodeError, IndexError, InvalidId):
            return None

    def write(self, low_id: int, *, clean: bool = False) -> None:
        """From any thread. Raises OSError; then the file is unchanged."""
        with self._writing:
            words = [format_id(low_id)]
            if clean:
                words.append(_CLEAN)  # and all ids are below it
            elif self.ids_up_to:
                words.append(_IDS_UP_TO + format_id(self.ids_up_to))
            self._replace(words)

    def settle(self, low_id: int, ids_up_to: int) -> None:
        """Another process takes over what is unpublished from low_id on. The next one with this number owes nothing,
        and gives ids above ids_up_to. Raises OSError; then the file is unchanged."""
        with self._writing:
            self._replace([format_id(low_id), _CLEAN, _IDS_UP_TO + format_id(ids_up_to)])

    def _replace(self, words: Sequence[str]) -> None:
        self._lock_again()
        new = self._path.with_suffix(".new")
        new.write_text(" ".join(words) + "\n")
        new.replace(self._path)


def resumed_outbox(
    watermark: Watermark,
    ids: IdSource,
    *,
    now_ms: int,
    lookback_ms: int,
    limits: OutboxLimits,
    owed_from_id: int | None = None,
) -> Outbox:
    """An outbox that owes what the last process left, and the watermark saved. Ids go on above that process's, even if
    they were ahead of the clock. lookback_ms: what nodes read again if there is no file. owed_from_id: what processes
    with other node numbers have left.

    Raises OSError if the watermark can't be saved and the last process's doesn't cover a kill of this one.
    """
    last = watermark.read()
    if last is not None:
        ids.observe(max(last.low_id, last.ids_up_to))
    outbox = Outbox(ids.next(now_ms), limits)
    if last is None:
        outbox.owe(first_id_at(now_ms - lookback_ms))
    elif not last.clean:
        log.info("the last process was killed, nodes will read history", behind_ms=now_ms - time_of(last.low_id))
        outbox.owe(last.low_id)
    if owed_from_id is not None:
        outbox.owe(owed_from_id)
    try:
        watermark.write(outbox.low_id())
    except OSError as error:
        if last is None or last.clean or owed_from_id is not None:
            raise
        log.warning("watermark can't be saved, the last process's holds", reason=str(error))
    return outbox
