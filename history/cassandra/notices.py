"""Notices in Cassandra: processes that keep copies learn by them what others changed, and where comments arrived late.

Each kind has a table (schema.cql), with a partition for each minute; its rows expire after an hour.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from history.cassandra.session import Row
from history.cassandra.tables import CassandraTables
from history.clocks import wall_ms
from history.config import NOTICES_KEPT_MS, StoreSettings
from history.core.late import Stretch, late_among, late_notices, stretches
from history.core.model import AUTHOR_PURGED, Change, Comment
from history.core.purges import Purged

MINUTE_MS = 60_000
"""The time of one partition. A part of the schema."""

ANNOUNCE_CHANGE = """
INSERT INTO $keyspace.changes (minute, at_ms, id, video_id, kind, target_id, author_id, up_to_id)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
CHANGES_AFTER = """
SELECT at_ms, id, video_id, kind, target_id, author_id, up_to_id FROM $keyspace.changes
WHERE minute = ? AND (at_ms, id, video_id) > (?, ?, ?) LIMIT ?
"""
ANNOUNCE_LATE = "INSERT INTO $keyspace.late (minute, at_ms, video_id, low_id, high_id) VALUES (?, ?, ?, ?, ?)"
LATE_SINCE = "SELECT video_id, low_id, high_id FROM $keyspace.late WHERE minute = ? AND at_ms >= ?"


class CassandraNotices:
    """`history.store.Notices`, and the writing of them. Announce a change once it is durable: whoever sees the notice
    reads again, and must find it."""

    def __init__(
        self, tables: CassandraTables, on_purged: Callable[[Sequence[Purged]], None], settings: StoreSettings
    ) -> None:
        """on_purged: gets all that `changes_since` returns of them."""
        self._tables = tables
        self._on_purged = on_purged
        self._settings = settings

    async def announce_changes(self, changes: Sequence[Change]) -> None:
        at_ms = wall_ms()
        rows = [
            (at_ms // MINUTE_MS, at_ms, c.id, c.video_id, c.kind, c.target_id, c.author_id, c.up_to_id) for c in changes
        ]
        await self._tables.run_batches(ANNOUNCE_CHANGE, [rows])

    async def announce_late(self, comments: Sequence[Comment]) -> None:
        """Their append isn't done until this has returned. Live comments cost nothing."""
        at_ms = wall_ms()
        found = stretches(late_among(comments, at_ms, self._settings.late_ms), self._settings.late_videos_max)
        if found:
            rows = [(at_ms // MINUTE_MS, at_ms, each.video_id, each.low_id, each.high_id) for each in found]
            await self._tables.run_batches(ANNOUNCE_LATE, [rows])

    async def changes_since(self, since_ms: int, now_ms: int) -> AsyncIterator[list[Change]]:
        """Also remembers the authors that were purged: their youngest comments are refused by that."""
        since_ms, rows_max = max(since_ms, now_ms - NOTICES_KEPT_MS), self._settings.change_notices_max
        for minute in minutes_since(since_ms, now_ms):
            after: tuple[int, int, str] = (since_ms, -1, "")
            while True:
                rows = await self._tables.run(CHANGES_AFTER, minute, *after, rows_max)
                if rows:
                    changes = [
                        Change(id_, video_id, kind, target_id, b"", author_id, up_to_id)
                        for _, id_, video_id, kind, target_id, author_id, up_to_id in rows
                    ]
                    self._on_purged([(c.author_id, c.video_id, c.up_to_id) for c in changes if c.kind == AUTHOR_PURGED])
                    yield changes
                if len(rows) < rows_max:
                    break
                after = rows[-1][:3]

    async def late_since(self, since_ms: int, now_ms: int) -> list[Stretch]:
        rows_max = self._settings.late_notices_max
        rows = await self._since(f"{LATE_SINCE} LIMIT {rows_max + 1}", since_ms, now_ms)
        return late_notices(rows, now_ms, rows_max)

    async def _since(self, cql: str, since_ms: int, now_ms: int) -> list[Row]:
        """cql: the rows of one minute from a time on."""
        since_ms = max(since_ms, now_ms - NOTICES_KEPT_MS)
        minutes = minutes_since(since_ms, now_ms)
        found = await asyncio.gather(*(self._tables.run(cql, minute, since_ms) for minute in minutes))
        return [row for rows in found for row in rows]


def minutes_since(since_ms: int, now_ms: int) -> range:
    """The partitions with what was announced from then on; one more, for a clock may be ahead of ours"""
    return range(since_ms // MINUTE_MS, now_ms // MINUTE_MS + 2)
