"""The store in SQLite, which is the default: one file, one process or several writing it, any number reading it.

Each commit is fsynced to the write-ahead log (sqlite/file.py). In the table's tree a video's comments are neighbours
(sqlite/schema.py), so a page is one descent and a short walk, at any depth.
"""

import asyncio
import sqlite3
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from history.config import StoreSettings
from history.core.ids import ID_MAX
from history.core.model import Author, Comment
from history.sqlite.claims import SqliteClaims
from history.sqlite.erasing import SqliteErasing
from history.sqlite.file import ReadFile, WriteFile
from history.sqlite.notices import SqliteNotices
from history.sqlite.pieces import pieces, statements
from history.sqlite.sweeping import sweep
from history.sqlite.videos import SqliteVideos
from history.store import StoreUnavailable

# What is erased stays away, whenever it comes: two looks into small trees, beside the row's own.
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
INSERTS = statements(INSERT, "(?, ?, ?, ?, ?, ?)")

COLUMNS = "SELECT id, author_id, author_name, message, created_at_ms FROM comments"
OLDER = f"{COLUMNS} WHERE video_id = ? AND id <= ? ORDER BY id DESC LIMIT ?"
NEWER = f"{COLUMNS} WHERE video_id = ? AND id >= ? ORDER BY id LIMIT ?"


class SqliteReader:
    """`history.store.Reader` of a file that another process writes, or will write: until then every video is empty."""

    def __init__(self, file: ReadFile, settings: StoreSettings) -> None:
        self._file = file
        self._settings = settings

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
            raise StoreUnavailable(f"{self._file.path}: no answer in time") from None

    async def close(self) -> None:
        await self._file.close()

    async def _comments(self, query: str, video_id: str, bound: int, limit: int) -> list[Comment]:
        if limit <= 0:
            return []
        return [
            Comment(id_, video_id, Author(author_id, author_name), message, created_at_ms)
            for id_, author_id, author_name, message, created_at_ms in await self._file.query(
                query, (video_id, bound, limit)
            )
        ]


class SqliteStore(SqliteReader):
    """`history.store.History` in a file, which is made when it isn't there. Its parts share the file."""

    _file: WriteFile

    def __init__(self, file: WriteFile, settings: StoreSettings) -> None:
        super().__init__(file, settings)
        erasing, videos = SqliteErasing(file, settings), SqliteVideos(file, settings)
        claims = SqliteClaims(file, self._insert)
        self._notices = SqliteNotices(file, settings)
        self.erase, self.bar_author, self.comments_of = erasing.erase, erasing.bar_author, erasing.comments_of
        self.erased_since, self.late_since = self._notices.erased_since, self._notices.late_since
        self.add_video, self.change_video, self.video = videos.add_video, videos.change_video, videos.video
        self.videos, self.changed_videos = videos.videos, videos.changed_videos
        self.append_claimed, self.claim_node = claims.append_claimed, claims.claim_node
        self.release_node = claims.release_node

    @classmethod
    async def open(cls, path: Path, settings: StoreSettings) -> "SqliteStore":
        """Raises StoreUnavailable with the reason when the file can't be written."""
        store = cls(WriteFile(path, settings), settings)
        try:
            await store._file.write(lambda connection: None)
        except StoreUnavailable:
            await store.close()
            raise
        return store

    async def append(self, comments: Sequence[Comment]) -> None:
        if comments:
            await self._file.write(lambda connection: self._insert(connection, comments))

    async def sweep(self, now_ms: int) -> int:
        return await sweep(self._file, self._settings, now_ms)

    def _insert(self, connection: sqlite3.Connection, comments: Sequence[Comment]) -> None:
        """Within a transaction"""
        rows = [(c.video_id, c.id, c.author.id, c.author.name, c.message, c.created_at_ms) for c in comments]
        for some in pieces(rows):
            connection.execute(INSERTS[len(some)], tuple(chain.from_iterable(some)))
        self._notices.announce_late(connection, comments)
