"""Erasing in SQLite: one transaction deletes the comment's row, and marks its id as erased.

Every append looks for the mark (sqlite/store.py), so nothing comes back. Deleted bytes are overwritten in the file
(`secure_delete`); the write-ahead log may hold them until its next checkpoint.
"""

import sqlite3
from collections.abc import AsyncIterator, Sequence
from itertools import groupby
from operator import itemgetter

from history.clocks import wall_ms
from history.config import StoreSettings
from history.core.late import ALL_VIDEOS
from history.sqlite.file import WriteFile

DELETE = "DELETE FROM comments WHERE video_id = ? AND id = ?"
MARK = "INSERT INTO erased VALUES (?, ?, ?) ON CONFLICT (video_id, id) DO UPDATE SET at_ms = excluded.at_ms"
BAR = """
INSERT INTO barred_authors VALUES (?, ?, ?)
ON CONFLICT (author_id, video_id) DO UPDATE SET up_to_id = max(up_to_id, excluded.up_to_id)
"""
COMMENTS_OF = """
SELECT video_id, id FROM comments WHERE author_id = ? AND (video_id, id) > (?, ?) AND id <= ?
ORDER BY video_id, id LIMIT ?
"""
COMMENTS_OF_IN_VIDEO = """
SELECT video_id, id FROM comments WHERE author_id = ? AND video_id = ? AND id > ? AND id <= ? ORDER BY id LIMIT ?
"""


class SqliteErasing:
    """`history.store.Erasing`"""

    def __init__(self, file: WriteFile, settings: StoreSettings) -> None:
        self._file = file
        self._settings = settings

    async def erase(self, video_id: str, ids: Sequence[int]) -> None:
        rows = [(video_id, comment_id) for comment_id in ids]
        at_ms = wall_ms()

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany(MARK, [(*row, at_ms) for row in rows])
            connection.executemany(DELETE, rows)

        if rows:
            await self._file.write(work)

    async def bar_author(self, author_id: str, video_id: str | None, up_to_id: int) -> None:
        row = (author_id, video_id or ALL_VIDEOS, up_to_id)
        await self._file.write(lambda connection: connection.execute(BAR, row).rowcount)

    async def comments_of(
        self, author_id: str, video_id: str | None, up_to_id: int
    ) -> AsyncIterator[tuple[str, list[int]]]:
        limit = self._settings.erase_slice_max
        query = COMMENTS_OF if video_id is None else COMMENTS_OF_IN_VIDEO
        last = (video_id or "", 0)
        while True:
            rows = await self._file.query(query, (author_id, *last, up_to_id, limit))
            for of_video, found in groupby(rows, itemgetter(0)):
                yield of_video, [comment_id for _, comment_id in found]
            if len(rows) < limit:
                return
            last = rows[-1][0], rows[-1][1]
