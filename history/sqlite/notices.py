"""Notices in SQLite: processes that keep copies learn by them what others changed, and where comments arrived late."""

import sqlite3
from collections.abc import AsyncIterator, Sequence

from history.clocks import wall_ms
from history.config import NOTICES_KEPT_MS, StoreSettings
from history.core.late import Stretch, late_among, late_notices, stretches
from history.core.model import Change, Comment
from history.sqlite.file import ReadFile

ANNOUNCE_CHANGE = "INSERT OR IGNORE INTO changes VALUES (?, ?, ?, ?, ?, ?, ?)"
CHANGES_AFTER = """
SELECT at_ms, id, video_id, kind, target_id, author_id, up_to_id FROM changes WHERE (at_ms, id, video_id) > (?, ?, ?)
ORDER BY at_ms, id, video_id LIMIT ?
"""
SWEEP_CHANGES = """
DELETE FROM changes WHERE (at_ms, id, video_id) IN (
    SELECT at_ms, id, video_id FROM changes WHERE at_ms < ? LIMIT ?
)
"""
ANNOUNCE_LATE = "INSERT OR IGNORE INTO late VALUES (?, ?, ?, ?)"
LATE_SINCE = "SELECT video_id, low_id, high_id FROM late WHERE at_ms >= ? LIMIT ?"
SWEEP_LATE = """
DELETE FROM late WHERE (at_ms, video_id, low_id, high_id) IN (
    SELECT at_ms, video_id, low_id, high_id FROM late WHERE at_ms < ? LIMIT ?
)
"""


class SqliteNotices:
    """`history.store.Notices`, and the writing of those of late comments"""

    def __init__(self, file: ReadFile, settings: StoreSettings) -> None:
        self._file = file
        self._settings = settings

    async def changes_since(self, since_ms: int, now_ms: int) -> AsyncIterator[list[Change]]:
        rows_max = self._settings.change_notices_max
        after: tuple[int, int, str] = (_begin(since_ms, now_ms), -1, "")
        while True:
            rows = await self._file.query(CHANGES_AFTER, (*after, rows_max))
            if rows:
                yield [
                    Change(id_, video_id, kind, target_id, b"", author_id, up_to_id)
                    for _, id_, video_id, kind, target_id, author_id, up_to_id in rows
                ]
            if len(rows) < rows_max:
                return
            after = rows[-1][:3]

    async def late_since(self, since_ms: int, now_ms: int) -> list[Stretch]:
        rows_max = self._settings.late_notices_max
        rows = await self._file.query(LATE_SINCE, (_begin(since_ms, now_ms), rows_max + 1))
        return late_notices(rows, now_ms, rows_max)

    def announce_late(self, connection: sqlite3.Connection, comments: Sequence[Comment]) -> None:
        """Within the comments' own transaction. It holds the write lock, so notices are written in the order of their
        times, also by several processes."""
        at_ms = wall_ms()
        found = stretches(late_among(comments, at_ms, self._settings.late_ms), self._settings.late_videos_max)
        connection.executemany(ANNOUNCE_LATE, [(at_ms, each.video_id, each.low_id, each.high_id) for each in found])


def announce_changes(connection: sqlite3.Connection, changes: Sequence[Change], at_ms: int) -> None:
    """Within the changes' own transaction."""
    rows = [(at_ms, c.id, c.video_id, c.kind, c.target_id, c.author_id, c.up_to_id) for c in changes]
    connection.executemany(ANNOUNCE_CHANGE, rows)


def sweep_changes(connection: sqlite3.Connection, now_ms: int, limit: int) -> int:
    """Deletes up to `limit` expired notices, and returns how many it has deleted."""
    return connection.execute(SWEEP_CHANGES, (now_ms - NOTICES_KEPT_MS, limit)).rowcount


def sweep_late(connection: sqlite3.Connection, now_ms: int, limit: int) -> int:
    """Deletes up to `limit` expired notices, and returns how many it has deleted."""
    return connection.execute(SWEEP_LATE, (now_ms - NOTICES_KEPT_MS, limit)).rowcount


def _begin(since_ms: int, now_ms: int) -> int:
    return max(since_ms, now_ms - NOTICES_KEPT_MS)
