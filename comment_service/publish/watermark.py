"""The outbox's watermark in a file, so that kill -9 at any moment loses no comment that an author was told is safe.

What the file must say. A comment passes these moments: (a) its id is given, (b) it is durable in the store, (c) its
author has his 200, (d) a dispatcher has answered its publish. A process that is killed between (b) and (d) leaves a
comment that nobody will publish: only history knows it. The next process doesn't know which ones these are, and it
needs not: it sends one `catch_up_from_id`, and every RMS node reads its videos' history from there, dropping the ids
that it has. So one number is enough: a bound W such that each comment below W has passed (d), or will never pass (c).

Why an old W is still right. W is the smallest id that has passed (a) but not (d), or the next id if there is none.
All later ids are larger. So the file need not be current at the kill: a W from 100 ms before covers whatever happened
in between, and the catch-up only reads a little more. Nothing waits for this file, neither (b) nor (c).

    killed …                                  what covers the comment
    before (b)                                nothing has to: no 200 was sent
    between (b) and (d), W written before (a)  W was the next id then, or a smaller one
    between (b) and (d), W written after (a)   W is at most its id: ids count from (a), not from (b)
    after (d)                                 the viewers have it; W may still be below it: read twice, dropped by id
    during the start's own catch-up           W stays at the old process's W until that catch-up is answered

After a clean end nothing is owed, and the file says `clean` behind W. The next process takes the word away before it
gives its first id (service.py): from then on a kill must find a W that counts.

Without a file (a first start, or a new disk) the caller looks back by a time that it chooses.

The file is replaced by one rename, so a reader sees the old or the new one, never half of one. There is no fsync: the
bytes are the kernel's once they are written, and kill -9 doesn't take them from it. After a power loss the file may
be older, empty or gone; older is right, and the others count as no file.
"""

import fcntl
import os
from pathlib import Path
from typing import NamedTuple, Self

from history.core.ids import InvalidId, format_id, parse_id

_CLEAN = "clean"


class StateDirInUse(Exception):
    """Another process works with the same node number and the same folder."""

    def __init__(self, path: Path, node: int) -> None:
        super().__init__(
            f"another comment_service with node {node} runs on {path}; give each process its own --node: "
            "two with the same number would give the same ids"
        )


class Saved(NamedTuple):
    low_id: int
    clean: bool
    """the process had nothing left to publish, and ended"""


class Watermark:
    """One file a node, and a lock on it for as long as the process lives"""

    def __init__(self, state_dir: Path, node: int) -> None:
        self._path = state_dir / f"published-node{node}"
        self._node = node
        self._lock_fd = -1

    def hold(self) -> Self:
        """Makes the folder and takes the lock; the kernel gives it back however the process ends.

        Raises StateDirInUse, and OSError if the folder can't be written.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lock_fd = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock_fd)
            raise StateDirInUse(self._path.parent, self._node) from None
        self._lock_fd = lock_fd
        return self

    def release(self) -> None:
        os.close(self._lock_fd)

    def read(self) -> Saved | None:
        """What the last process saved; None if there is no file, or none that can be read"""
        try:
            words = self._path.read_text().split()
            return Saved(parse_id(words[0]), words[1:] == [_CLEAN])
        except (OSError, UnicodeDecodeError, IndexError, InvalidId):
            return None

    def write(self, low_id: int, *, clean: bool = False) -> None:
        """Raises OSError, and the file stays as it was."""
        words = [format_id(low_id), _CLEAN] if clean else [format_id(low_id)]
        new = self._path.with_suffix(".new")
        new.write_text(" ".join(words) + "\n")
        new.replace(self._path)
