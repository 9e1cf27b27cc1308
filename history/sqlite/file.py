"""A SQLite file behind threads, because sqlite3 blocks: one thread writes (SQLite allows one writer at a time), and a
few read. Connections open when they are needed, and again after an error or when another file is at the path: a disk
was mounted anew, a backup restored. A file that is gone is an outage. Nobody makes an empty one in its place, for it
would lie below the disk once that is mounted again. Connections that nobody uses are closed, so that a disk can be
unmounted and checked.

- WAL: readers never wait for the writer, and each read sees every commit that came before it, also another process's.
- `synchronous = FULL`: in WAL mode SQLite then fsyncs the log before COMMIT returns. With NORMAL, which is often
  recommended for WAL, a commit would survive kill -9 but not the loss of power.
- Among processes that write, SQLite has no queue for the lock: who waits looks now and then, less and less often, up to
  100 ms apart. Beside a process that takes the lock again a millisecond after it has let it go, that takes seconds. So
  a write looks each millisecond instead.
"""

import asyncio
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import structlog

from history.clocks import monotonic_ms
from history.config import StoreSettings
from history.sqlite.schema import VERSION, migrate, version_of
from history.store import StoreRefuses, StoreUnavailable

T = TypeVar("T")

WAL_POLL_S = 0.01
LOCK_POLL_S = 0.001

PERMANENT = frozenset(
    (
        *(sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_RANGE),
        *(sqlite3.SQLITE_MISUSE, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_NOTADB),
    )
)
"""SQLite's codes for a wrong statement, a missing table, a file that is no database; not for what a disk does"""

_log = structlog.stdlib.get_logger()


class ReadFile:
    """For reading. A file that doesn't exist yet counts as empty."""

    def __init__(self, path: Path, settings: StoreSettings) -> None:
        self.path = path
        self._place = _Place(path)
        self._settings = settings
        # As many as threads, so a thread always finds one. Each is used in its turn, so each sees that the file moved.
        self._idle = deque(_Connection(self._place, settings) for _ in range(settings.sqlite_readers))
        self._readers = ThreadPoolExecutor(settings.sqlite_readers, thread_name_prefix="sqlite-read")
        self._queries = 0
        self._rest: asyncio.TimerHandle | None = None

    async def close(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
        await asyncio.to_thread(self._readers.shutdown)
        for connection in self._idle:
            connection.close()

    async def query(self, query: str, parameters: tuple[object, ...]) -> list[tuple[Any, ...]]:
        """All rows. Raises StoreUnavailable."""

        def fetch() -> list[tuple[Any, ...]]:
            with self._a_connection() as connection:
                return connection.run(lambda file: file.execute(query, parameters).fetchall()) or []

        self._queries += 1
        if self._rest is None:
            self._look_again()
        return await _in_thread(self._readers, fetch)

    def _look_again(self) -> None:
        queries = self._queries
        rest_s = self._settings.sqlite_idle_ms / 1000
        self._rest = asyncio.get_running_loop().call_later(rest_s, lambda: self._close_idle(queries))

    def _close_idle(self, queries: int) -> None:
        """queries: how many there were a while ago."""
        if self._queries != queries:
            self._look_again()
            return
        self._rest = None

        def close() -> None:
            with self._a_connection() as connection:
                connection.close()

        for _ in range(self._settings.sqlite_readers):
            self._readers.submit(close)

    @contextmanager
    def _a_connection(self) -> Iterator["_Connection"]:
        connection = self._idle.popleft()
        try:
            yield connection
        finally:
            self._idle.append(connection)


class WriteFile(ReadFile):
    """For writing and reading; makes the file, and brings an older one up to date."""

    def __init__(self, path: Path, settings: StoreSettings) -> None:
        super().__init__(path, settings)
        self._connection = _Connection(self._place, settings, writes=True)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="sqlite-write")

    async def close(self) -> None:
        await asyncio.to_thread(self._writer.shutdown)
        await super().close()
        # Last, because whoever closes last folds the log back into the file.
        self._connection.close()

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Runs `work` in one transaction, which is durable when this returns. `work` must not return a cursor: it would
        be closed in another thread, while the writer's thread uses the connection. Raises StoreUnavailable."""

        def transact(file: sqlite3.Connection) -> T:
            self._connection.begin(file)
            try:
                result = work(file)
                file.execute("COMMIT")
            except BaseException:
                # An error that isn't SQLite's leaves the connection open: other processes would wait for the lock.
                with suppress(sqlite3.Error):
                    file.rollback()
                raise
            return result

        def run() -> T:
            result: list[T] = []
            self._connection.run(lambda file: result.append(transact(file)))
            return result[0]

        return await _in_thread(self._writer, run)

    async def fold_log(self) -> None:
        """Writes the write-ahead log back into the file and empties it, so that no overwritten bytes are left in it.
        Not if readers of it don't end soon: they would hold up the writers. Raises StoreUnavailable."""
        settings = self._settings

        def fold(file: sqlite3.Connection) -> None:
            file.execute(f"PRAGMA busy_timeout = {settings.sqlite_fold_ms}")
            file.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            file.execute("PRAGMA busy_timeout = 0")

        await _in_thread(self._writer, lambda: self._connection.run(fold))


def pause(seconds: float) -> None:
    """In a thread"""
    threading.Event().wait(seconds)


async def _in_thread(threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    """If the caller is cancelled, the work goes on."""
    try:
        waiter = asyncio.get_running_loop().run_in_executor(threads, work)
    except RuntimeError:
        raise StoreUnavailable("the store is closed") from None
    return await waiter


@contextmanager
def _closed_on_error(file: sqlite3.Connection) -> Iterator[None]:
    """Or it would keep its lock for as long as the error is kept: a newer release could not use its own file."""
    try:
        yield
    except BaseException:
        file.close()
        raise


def _is_permanent(error: Exception) -> bool:
    """Errors that Python's module or this package raises have no code: wrong use, a schema that is too new."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, sqlite3.Error) and (code is None or code & 0xFF in PERMANENT)


class _Place:
    """A path, and the file that was there when a connection looked last. For any thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.inode: tuple[int, int] | None = None
        """None: none of this life's connections has found a file with a schema."""

    def look(self) -> tuple[int, int] | None:
        """The file that is there now; None: there never was one. A stat takes 1 µs. Raises OSError if it is gone."""
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            if self.inode is None:
                return None
            raise FileNotFoundError("the file is gone; it is used again when it is back") from None
        return status.st_dev, status.st_ino

    def note(self, inode: tuple[int, int] | None) -> None:
        """A connection has opened this one."""
        before, self.inode = self.inode, inode
        if before not in (None, inode):
            _log.warning("store_file_replaced", store=str(self.path))


class _Connection:
    """A connection that opens when it is needed, and again after an error or when the file was replaced.

    Used by one thread at a time.
    """

    def __init__(self, place: _Place, settings: StoreSettings, *, writes: bool = False) -> None:
        self._place = place
        self._path = place.path
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
            # Closing rolls back. After a failed fsync or on a corrupt page, only a new connection sees what is stored.
            self.close()
            kind = StoreRefuses if _is_permanent(error) else StoreUnavailable
            raise kind(f"{self._path}: {error}") from error

    def close(self) -> None:
        file, self._file, self._inode = self._file, None, None
        if file is not None:
            with suppress(sqlite3.Error):
                file.close()

    def begin(self, file: sqlite3.Connection) -> None:
        """Begins a transaction that writes: the lock is taken, and waited for, before anything is read."""
        self._when_free(lambda: file.execute("BEGIN IMMEDIATE"), LOCK_POLL_S)

    def _when_free(self, work: Callable[[], T], poll_s: float) -> T:
        """In the writer's thread. Repeats what another process's lock forbids, for `sqlite_busy_timeout_ms`."""
        end_ms = monotonic_ms() + self._settings.sqlite_busy_timeout_ms
        while True:
            try:
                return work()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or monotonic_ms() > end_ms:
                    raise
            pause(poll_s)

    def _current(self) -> sqlite3.Connection | None:
        # A file that was deleted or replaced stays alive as long as it is open: comments written to it would be lost,
        # and readers would stay in the past.
        if self._file is None or self._inode != self._place.look():
            self.close()
            self._file = self._open_to_write() if self._writes else self._open_to_read()
            if self._file is not None:
                self._inode = self._place.look()
                self._place.note(self._inode)
        return self._file

    def _open_to_read(self) -> sqlite3.Connection | None:
        if self._place.look() is None:
            return None
        file = self._connect("rw")  # not "ro": a reader takes part in WAL's shared memory; but it makes no file
        with _closed_on_error(file):
            file.execute("PRAGMA query_only = ON")
            if version_of(file) == 0:  # the writer is about to make the table
                file.close()
                return None
        return file

    def _open_to_write(self) -> sqlite3.Connection:
        is_first = self._place.look() is None
        if is_first:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        file = self._connect("rwc" if is_first else "rw")
        with _closed_on_error(file):
            self._use_wal(file)
            file.execute("PRAGMA synchronous = FULL")
            file.execute(f"PRAGMA journal_size_limit = {self._settings.sqlite_wal_bytes_max}")
            file.execute("PRAGMA secure_delete = ON")  # what is erased is overwritten in the file, not only unlinked
            if migrate(file):
                _log.info("schema_made", store=str(self._path), version=VERSION)
            file.execute("PRAGMA busy_timeout = 0")  # see `begin`
        return file

    def _use_wal(self, file: sqlite3.Connection) -> None:
        """SQLite doesn't wait by itself for this statement while another process has the file open."""
        (mode,) = self._when_free(lambda: file.execute("PRAGMA journal_mode = WAL").fetchone(), WAL_POLL_S)
        if mode != "wal":
            raise sqlite3.OperationalError("this file system can't hold a write-ahead log")

    def _connect(self, mode: str) -> sqlite3.Connection:
        return sqlite3.connect(
            f"file:{quote(str(self._path.absolute()))}?mode={mode}",
            uri=True,
            timeout=self._settings.sqlite_busy_timeout_ms / 1000,
            isolation_level=None,  # transactions begin and end where the code says so
            check_same_thread=False,
        )
