"""The embedded default: one SQLite file, one process or several writing it, any number reading it.

How the contract is kept: the file is one write-ahead log with fsync (sqlite_file.py), and its table is a tree in which
a video's comments lie beside each other (sqlite_schema.py): a page is one descent and a short walk, at any depth.
"""

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from history.config import StoreSettings
from history.ids import ID_MAX
from history.model import Author, Comment
from history.sqlite_erasing import SqliteErasing
from history.sqlite_file import ReadFile
from history.sqlite_late import SqliteLate
from history.sqlite_records import SqliteRecords
from history.store import StoreUnavailable

# What is erased stays away, however late it comes: two looks into small trees, beside the row's own.
INSERT = """
INSERT INTO comments
SELECT ?1, ?2, ?3, ?4, ?5, ?6
WHERE NOT EXISTS (SELECT 1 FROM erased WHERE video_id = ?1 AND id = ?2)
  AND NOT EXISTS (SELECT 1 FROM barred_authors WHERE author_id = ?3 AND video_id IN (?1, '') AND up_to_id >= ?2)
ON CONFLICT (video_id, id) DO NOTHING
"""
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


class SqliteStore(SqliteErasing, SqliteLate, SqliteRecords, SqliteReader):
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
            file.executemany(INSERT, rows)
            self._tell_late(file, comments)

        if rows:
            await self._write(work)
