"""Tells in SQLite where comments came late, in the comments' own transaction, and what was told."""

import sqlite3
from collections.abc import Sequence

from history.clocks import wall_ms
from history.config import TOLD_SINCE_MS_MAX
from history.core.late import late_among, stretches, told
from history.core.model import Comment
from history.sqlite.file import WriteFile
from history.store import Stretch

TELL_LATE = "INSERT OR IGNORE INTO late VALUES (?, ?, ?, ?)"
TOLD_LATE = "SELECT video_id, low_id, high_id FROM late WHERE at_ms >= ? LIMIT ?"
SWEEP_LATE = """
DELETE FROM late WHERE (at_ms, video_id, low_id, high_id) IN (
    SELECT at_ms, video_id, low_id, high_id FROM late WHERE at_ms < ? LIMIT ?
)
"""


class SqliteLate(WriteFile):
    async def late_since(self, since_ms: int, now_ms: int) -> list[Stretch]:
        rows_max = self._settings.late_told_max
        rows = await self._query(TOLD_LATE, (max(since_ms, now_ms - TOLD_SINCE_MS_MAX), rows_max + 1))
        return told(rows, now_ms, rows_max)

    def _tell_late(self, file: sqlite3.Connection, comments: Sequence[Comment]) -> None:
        """In a transaction that holds the write lock: no other one's time lies between this one's and its end."""
        at_ms = wall_ms()
        found = stretches(late_among(comments, at_ms, self._settings.late_ms), self._settings.late_videos_max)
        file.executemany(TELL_LATE, [(at_ms, each.video_id, each.low_id, each.high_id) for each in found])


def sweep_late(file: sqlite3.Connection, now_ms: int, limit: int) -> int:
    """How many rows have gone; fewer than the limit: no more are left"""
    return file.execute(SWEEP_LATE, (now_ms - TOLD_SINCE_MS_MAX, limit)).rowcount
