"""The embedded default: one SQLite file, one process or several writing it, any number reading it.

How the contract is kept:
- WAL: readers never wait for the writer, and each read sees every commit that came before it, also another process's.
- `synchronous = FULL`: in WAL mode SQLite then fsyncs the log before COMMIT returns. With NORMAL, which is often
  recommended for WAL, a commit would survive kill -9 but not the loss of power.
- `WITHOUT ROWID` and the key (video_id, id): a video's comments lie beside each other in the table's own tree. A page
  is one descent and a short walk, at any depth.

sqlite3 blocks, so it lives in threads: one that writes (SQLite allows one writer at a time anyway), a few that read.
"""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import structlog

from history.config import StoreSettings
from history.ids import ID_MAX
from history.model import Author, Comment
from history.store import StoreUnavailable

T = TypeVar("T")

SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE comments (
    video_id TEXT NOT NULL,
    id INTEGER NOT NULL,
    author_id TEXT NOT NULL,
    author_name TEXT NOT NULL,
    message TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    PRIMARY KEY (video_id, id)
) WITHOUT ROWID
"""
INSERT = "INSERT INTO comments VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (video_id, id) DO NOTHING"
COLUMNS = "SELECT id, author_id, author_name, message, created_at_ms FROM comments"
OLDER = f"{COLUMNS} WHERE video_id = ? AND id <= ? ORDER BY id DESC LIMIT ?"
NEWER = f"{COLUMNS} WHERE video_id = ? AND id >= ? ORDER BY id LIMIT ?"

_log = structlog.stdlib.get_logger()


class SqliteReader:
    """Reads a file that another process writes, or will write: until it is there, every video is empty."""

    def __init__(self, path: Path, settings: StoreSettings) -> None:
        self._path = path
        self._settings = settings
        # As many as threads, so a thread always finds one.
        self._idle = [_Connection(path, settings) for _ in range(settings.sqlite_readers)]
        self._readers = ThreadPoolExecutor(settings.sqlite_readers, thread_name_prefix="sqlite-read")

    async def older(self, video_id: str, before: int | None, limit: int) -> list[Comment]:
        newest = ID_MAX if before is None else min(before - 1, ID_MAX)
        return await self._read(OLDER, video_id, newest, limit)

    async def newer(self, video_id: str, after: int, limit: int) -> list[Comment]:
        if after >= ID_MAX:
            return []
        return await self._read(NEWER, video_id, after + 1, limit)

    async def check(self) -> None:
        """Reads as a viewer does. A disk that hangs is given the same time as another writer."""
        try:
            async with asyncio.timeout(self._settings.sqlite_busy_timeout_ms / 1000):
                await self._read(OLDER, "", ID_MAX, 1)
        except TimeoutError:
            raise StoreUnavailable(f"{self._path}: no answer in time") from None

    async def close(self) -> None:
        await asyncio.to_thread(self._readers.shutdown)
        for connection in self._idle:
            connection.close()

    async def _read(self, query: str, video_id: str, bound: int, limit: int) -> list[Comment]:
        if limit <= 0:
            return []
        return await _in_thread(self._readers, lambda: self._read_now(query, video_id, bound, limit))

    def _read_now(self, query: str, video_id: str, bound: int, limit: int) -> list[Comment]:
        connection = self._idle.pop()
        try:
            rows = connection.run(lambda file: file.execute(query, (video_id, bound, limit)).fetchall())
        finally:
            self._idle.append(connection)
        return [
            Comment(id_, video_id, Author(author_id, author_name), message, created_at_ms)
            for id_, author_id, author_name, message, created_at_ms in rows or ()
        ]


class SqliteStore(SqliteReader):
    """Writes and reads the file; makes it when it isn't there."""

    def __init__(self, path: Path, settings: StoreSettings) -> None:
        super().__init__(path, settings)
        self._connection = _Connection(path, settings, writes=True)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="sqlite-write")

    @classmethod
    async def open(cls, path: Path, settings: StoreSettings) -> "SqliteStore":
        """Raises StoreUnavailable with the reason when the file can't be written."""
        store = cls(path, settings)
        try:
            await _in_thread(store._writer, lambda: store._connection.run(lambda file: None))
        except StoreUnavailable:
            await store.close()
            raise
        return store

    async def append(self, comments: Sequence[Comment]) -> None:
        rows = [(c.video_id, c.id, c.author.id, c.author.name, c.message, c.created_at_ms) for c in comments]

        def insert(file: sqlite3.Connection) -> None:
            # IMMEDIATE: the lock is taken, and waited for, before anything is read.
            file.execute("BEGIN IMMEDIATE")
            file.executemany(INSERT, rows)
            file.execute("COMMIT")

        if rows:
            await _in_thread(self._writer, lambda: self._connection.run(insert))

    async def close(self) -> None:
        await asyncio.to_thread(self._writer.shutdown)
        await super().close()
        # Last, because whoever closes last folds the log back into the file.
        self._connection.close()


async def _in_thread(threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    """If the caller is cancelled, the work goes on."""
    try:
        waiter = asyncio.get_running_loop().run_in_executor(threads, work)
    except RuntimeError:
        raise StoreUnavailable("the store is closed") from None
    return await waiter


class _Connection:
    """A connection that opens when it is needed, and again after an error or when the file was replaced.

    Used by one thread at a time.
    """

    def __init__(self, path: Path, settings: StoreSettings, *, writes: bool = False) -> None:
        self._path = path
        self._settings = settings
        self._writes = writes
        self._file: sqlite3.Connection | None = None
        self._inode: tuple[int, int] | None = None

    def run(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """What `work` returns; None for a reader if there is no history yet. Raises StoreUnavailable."""
        try:
            file = self._current()
            return None if file is None else work(file)
        except (sqlite3.Error, OSError) as error:
            # Closing rolls back. After a failed fsync or on a corrupt page, only a new connection knows the truth.
            self.close()
            raise StoreUnavailable(f"{self._path}: {error}") from error

    def close(self) -> None:
        file, self._file, self._inode = self._file, None, None
        if file is not None:
            with suppress(sqlite3.Error):
                file.close()

    def _current(self) -> sqlite3.Connection | None:
        # A file that was deleted or replaced lives on for those who have it open: acknowledged comments would be gone
        # with it, and readers would stay in the past. A stat is 1 µs.
        if self._file is None or self._inode != self._inode_at_path():
            self.close()
            self._file = self._open_to_write() if self._writes else self._open_to_read()
            self._inode = self._inode_at_path()
        return self._file

    def _inode_at_path(self) -> tuple[int, int] | None:
        with suppress(FileNotFoundError):
            status = os.stat(self._path)
            return status.st_dev, status.st_ino
        return None

    def _open_to_read(self) -> sqlite3.Connection | None:
        if self._inode_at_path() is None:
            return None
        file = self._connect("rw")  # not "ro": a reader takes part in WAL's shared memory; but it makes no file
        file.execute("PRAGMA query_only = ON")
        if _version(file) == 0:  # the writer is about to make the table
            file.close()
            return None
        return file

    def _open_to_write(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = self._connect("rwc")
        self._use_wal(file)
        file.execute("PRAGMA synchronous = FULL")
        file.execute(f"PRAGMA journal_size_limit = {self._settings.sqlite_wal_bytes_max}")
        file.execute("BEGIN IMMEDIATE")  # of several processes that start together, one makes the table
        if _version(file) == 0:
            file.execute(SCHEMA)
            file.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            _log.info("schema_made", store=str(self._path), version=SCHEMA_VERSION)
        file.execute("COMMIT")
        return file

    def _use_wal(self, file: sqlite3.Connection) -> None:
        """The one statement for which SQLite doesn't wait by itself while another process has the file open."""
        end = time.monotonic() + self._settings.sqlite_busy_timeout_ms / 1000
        while True:
            try:
                (mode,) = file.execute("PRAGMA journal_mode = WAL").fetchone()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                    raise
                time.sleep(0.01)
            else:
                if mode != "wal":
                    raise sqlite3.OperationalError("this file system can't hold a write-ahead log")
                return

    def _connect(self, mode: str) -> sqlite3.Connection:
        return sqlite3.connect(
            f"file:{quote(str(self._path.absolute()))}?mode={mode}",
            uri=True,
            timeout=self._settings.sqlite_busy_timeout_ms / 1000,
            isolation_level=None,  # transactions begin and end where the code says so
            check_same_thread=False,
        )


def _version(file: sqlite3.Connection) -> int:
    """Raises sqlite3.DatabaseError when a newer release has made the file."""
    (version,) = file.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise sqlite3.DatabaseError(f"its schema has version {version}; this release knows {SCHEMA_VERSION}")
    return int(version)
