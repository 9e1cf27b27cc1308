"""The store in SQLite, which is the default: one file, one process or several writing it, any number reading it.

Each commit is fsynced to the write-ahead log (sqlite/file.py). In the table's tree a video's comments are neighbours
(sqlite/schema.py), so a page is one descent and a short walk, at any depth.
"""

import asyncio
import sqlite3
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import msgspec

from history.config import StoreSettings
from history.core.ids import ID_MAX
from history.core.log_rows import LogRow, found_in, taken_ids
from history.core.model import Comment, Found
from history.reading import LogReader
from history.sqlite.claims import SqliteClaims
from history.sqlite.file import ReadFile, WriteFile
from history.sqlite.moderating import SqliteModerating, without_barred
from history.sqlite.notices import SqliteNotices
from history.sqlite.pieces import pieces, statements
from history.sqlite.sweeping import sweep
from history.sqlite.videos import SqliteVideoReader, SqliteVideos
from history.store import IdTaken, StoreUnavailable

# What is erased stays away: its row is there already. Of what earlier releases erased and barred there are other marks,
# which cost two looks into small trees.
INSERT = """
INSERT INTO comments (video_id, id, author_id, author_name, message, created_at_ms, after_id)
SELECT column1 AS video_id, column2 AS id, column3 AS author_id, column4, column5, column6, column7
FROM (VALUES {rows}) AS new
WHERE NOT EXISTS (SELECT 1 FROM erased WHERE erased.video_id = new.column1 AND erased.id = new.column2)
  AND NOT EXISTS (
    SELECT 1 FROM barred_authors AS barred
    WHERE barred.author_id = new.column3 AND barred.video_id IN (new.column1, '') AND barred.up_to_id >= new.column2
  )
ON CONFLICT (video_id, id) DO NOTHING
"""
INSERTS = statements(INSERT, "(?, ?, ?, ?, ?, ?, ?)")

COLUMNS = "id, author_id, author_name, message, created_at_ms, state, kind, target_id, up_to_id, data, after_id"
OLDER = f"SELECT {COLUMNS} FROM comments WHERE video_id = ? AND id <= ? ORDER BY id DESC LIMIT ?"  # noqa: S608
NEWER = f"SELECT {COLUMNS} FROM comments WHERE video_id = ? AND id >= ? ORDER BY id LIMIT ?"  # noqa: S608
WITH_IDS = f"SELECT {COLUMNS} FROM comments WHERE video_id = ? AND id IN (SELECT value FROM json_each(?))"  # noqa: S608
FIND = f"SELECT changed_id, {COLUMNS} FROM comments WHERE video_id = ? AND id = ?"  # noqa: S608


class SqliteReader(LogReader):
    """`history.store.NodeReader` of a file that another process writes, or will write: until then every video is
    empty."""

    def __init__(self, file: ReadFile, settings: StoreSettings) -> None:
        self._file = file
        self._settings = settings
        videos = SqliteVideoReader(file, settings)
        self.videos, self.changed_videos = videos.videos, videos.changed_videos

    async def rows(self, video_id: str, bound: int, limit: int, *, newest_first: bool) -> Sequence[LogRow]:
        query = OLDER if newest_first else NEWER
        return [LogRow(*row) for row in await self._file.query(query, (video_id, bound, limit))]

    async def rows_of(self, video_id: str, ids: Sequence[int]) -> Sequence[LogRow]:
        found = await self._file.query(WITH_IDS, (video_id, msgspec.json.encode(ids).decode()))
        return [LogRow(*row) for row in found]

    async def check(self) -> None:
        """Reads as a viewer does. A disk that hangs is given the same time as another writer."""
        try:
            async with asyncio.timeout(self._settings.sqlite_busy_timeout_ms / 1000):
                await self.rows("", ID_MAX, 1, newest_first=True)
        except TimeoutError:
            raise StoreUnavailable(f"{self._file.path}: no answer in time") from None

    async def close(self) -> None:
        await self._file.close()


class SqliteStore(SqliteReader):
    """`history.store.History` in a file, which is made when it isn't there. Its parts share the file."""

    _file: WriteFile

    def __init__(self, file: WriteFile, settings: StoreSettings) -> None:
        super().__init__(file, settings)
        moderating, videos = SqliteModerating(file, settings), SqliteVideos(file, settings)
        claims = SqliteClaims(file, self._insert)
        self._notices = SqliteNotices(file, settings)
        self.apply, self.erase, self.comments_of = moderating.apply, moderating.erase, moderating.comments_of
        self.begin_purge, self.end_purge = moderating.begin_purge, moderating.end_purge
        self.purges, self.note_look = moderating.purges, moderating.note_look
        self.changes_since, self.late_since = self._notices.changes_since, self._notices.late_since
        self.add_video, self.change_video, self.video = videos.add_video, videos.change_video, videos.video
        self.append_claimed, self.claim_of, self.claim_node = claims.append_claimed, claims.claim_of, claims.claim_node
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

    async def find(self, video_id: str, comment_id: int) -> Found | None:
        for changed_id, *row in await self._file.query(FIND, (video_id, comment_id)):
            return found_in(video_id, LogRow(*row), changed_id)
        return None

    async def sweep(self, now_ms: int) -> int:
        return await sweep(self._file, self._settings, now_ms)

    def _insert(self, connection: sqlite3.Connection, comments: Sequence[Comment]) -> None:
        """Within a transaction"""
        rows = [
            (c.video_id, c.id, c.author.id, c.author.name, c.message, c.created_at_ms, c.after_id)
            for c in without_barred(connection, comments)
        ]
        written = sum(
            connection.execute(INSERTS[len(some)], tuple(chain.from_iterable(some))).rowcount for some in pieces(rows)
        )
        if written < len(rows):  # some are gone, or were stored before; or other comments have their ids
            _refuse_taken(connection, comments)
        self._notices.announce_late(connection, comments)


def _refuse_taken(connection: sqlite3.Connection, comments: Sequence[Comment]) -> None:
    """Raises IdTaken."""
    rows: dict[tuple[str, int], LogRow] = {}
    for video_id in {comment.video_id for comment in comments}:
        ids = msgspec.json.encode([comment.id for comment in comments if comment.video_id == video_id]).decode()
        rows |= {(video_id, row[0]): LogRow(*row) for row in connection.execute(WITH_IDS, (video_id, ids))}
    if taken := taken_ids(rows, comments):
        raise IdTaken(taken)
