"""Notices in SQLite: processes that keep copies learn by them what others erased, and where comments arrived late."""

import sqlite3
from collections.abc import Sequence

from history.clocks import wall_ms
from history.config import NOTICES_KEPT_MS, StoreSettings
from history.core.late import Stretch, late_among, late_notices, stretches
from history.core.model import Comment
from history.sqlite.file import ReadFile

# The mark by which an erased comment stays away is the notice, too.
ERASED_SINCE = "SELECT video_id, id FROM erased WHERE at_ms >= ?"
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

    async def erased_since(self, since_ms: int, now_ms: int) -> list[tuple[str, int]]:
        return [(video_id, id_) for video_id, id_ in await self._file.query(ERASED_SINCE, (_begin(since_ms, now_ms),))]

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


def sweep_late(connection: sqlite3.Connection, now_ms: int, limit: int) -> int:
    """Deletes up to `limit` expired notices, and returns how many it has deleted."""
    return connection.execute(SWEEP_LATE, (now_ms - NOTICES_KEPT_MS, limit)).rowcount


def _begin(since_ms: int, now_ms: int) -> int:
    return max(since_ms, now_ms - NOTICES_KEPT_MS)
