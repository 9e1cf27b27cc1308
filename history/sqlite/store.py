"""The embedded default: one SQLite file, one process or several writing it, any number reading it.

How the contract is kept: the file is one write-ahead log with fsync (sqlite_file.py), and its table is a tree in which
a video's comments lie beside each other (sqlite_schema.py): a page is one descent and a short walk, at any depth.
"""

import asyncio
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from history.config import StoreSettings
from history.core.ids import ID_MAX
from history.core.model import Author, Comment
from history.sqlite.claims import SqliteClaims
from history.sqlite.erasing import SqliteErasing
from history.sqlite.file import ReadFile
from history.sqlite.late import SqliteLate
from history.sqlite.records import SqliteRecords
from history.store import StoreUnavailable

Row = tuple[str, int, str, str, str, int]

# What is erased stays away, however late it comes: two looks into small trees, beside the row's own.
INSERT = """
INSERT INTO comments
SELECT column1 AS video_id, column2 AS id, column3 AS author_id, column4, column5, column6 FROM (VALUES {rows}) AS new
WHERE NOT EXISTS (SELECT 1 FROM erased WHERE erased.video_id = new.column1 AND erased.id = new.column2)
  AND NOT EXISTS (
    SELECT 1 FROM barred_authors AS barred
    WHERE barred.author_id = new.column3 AND barred.video_id IN (new.column1, '') AND barred.up_to_id >= new.column2
  )
ON CONFLICT (video_id, id) DO NOTHING
"""
ROWS_AT_ONCE = (256, 64, 16, 4, 1)
"""Rows of one statement. Python lets go of its lock around each statement, and has to get it back from a busy event
loop: with a statement for each row that took longer than SQLite, and twice the CPU."""
INSERTS = {rows: INSERT.format(rows=", ".join(["(?, ?, ?, ?, ?, ?)"] * rows)) for rows in ROWS_AT_ONCE}

COLUMNS = "SELECT id, author_id, author_name, message, created_at_ms FROM comments"
OLDER = f"{COLUMNS} WHERE video_id = ? AND id <= ? ORDER BY id DESC LIMIT ?"
NEWER = f"{COLUMNS} WHERE video_id = ? AND id >= ? ORDER BY id LIMIT ?"


class SqliteReader(ReadFile):
    """Reads a file that another process writes, or will write: until it is there, every video is empty."""

    async def older(self, video_id: str, before: int | None, limit: int) -> list[Comment]:
        newest = ID_MAX if before is None else min(before - 1, ID_MAX)
        return await self._comments(OLDER, video_id, newest, limit)

    async def newer(self, video_id: str, after: int, limit: int) -> list[Comment]:
        if after >= ID_MAX:
            return []
        return await self._comments(NEWER, video_id, after + 1, limit)

    async def check(self) -> None:
        """Reads as a viewer does. A disk that hangs is given the same time as another writer."""
        try:
            async with asyncio.timeout(self._settings.sqlite_busy_timeout_ms / 1000):
                await self._comments(OLDER, "", ID_MAX, 1)
        except TimeoutError:
            raise StoreUnavailable(f"{self._path}: no answer in time") from None

    async def _comments(self, query: str, video_id: str, bound: int, limit: int) -> list[Comment]:
        if limit <= 0:
            return []
        return [
            Comment(id_, video_id, Author(author_id, author_name), message, created_at_ms)
            for id_, author_id, author_name, message, created_at_ms in await self._query(
                query, (video_id, bound, limit)
            )
        ]


class SqliteStore(SqliteErasing, SqliteLate, SqliteClaims, SqliteRecords, SqliteReader):
    """Writes and reads the file; makes it when it isn't there."""

    @classmethod
    async def open(cls, path: Path, settings: StoreSettings) -> "SqliteStore":
        """Raises StoreUnavailable with the reason when the file can't be written."""
        store = cls(path, settings)
        try:
            await store._write(lambda file: None)
        except StoreUnavailable:
            await store.close()
            raise
        return store

    async def append(self, comments: Sequence[Comment]) -> None:
        rows = [(c.video_id, c.id, c.author.id, c.author.name, c.message, c.created_at_ms) for c in comments]

        def work(file: sqlite3.Connection) -> None:
            for some in _pieces(rows):
                file.execute(INSERTS[len(some)], tuple(chain.from_iterable(some)))
            self._tell_late(file, comments)

        if rows:
            await self._write(work)


def _pieces(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Each as long as one of INSERTS takes, the longest first"""
    begin = 0
    while begin < len(rows):
        size = next(size for size in ROWS_AT_ONCE if size <= len(rows) - begin)
        yield rows[begin : begin + size]
        begin += size
