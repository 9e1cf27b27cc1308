"""Notices in Cassandra: processes that keep copies learn by them what others erased, and where comments arrived late.

Each kind has a table (schema.cql), with a partition for each minute; its rows expire after an hour.
"""

import asyncio
from collections.abc import Sequence

from history.cassandra.session import Row
from history.cassandra.tables import CassandraTables
from history.clocks import wall_ms
from history.config import NOTICES_KEPT_MS, StoreSettings
from history.core.late import Stretch, late_among, late_notices, stretches
from history.core.model import Comment

MINUTE_MS = 60_000
"""The time of one partition. A part of the schema."""

ANNOUNCE_ERASED = "INSERT INTO $keyspace.erasures (minute, at_ms, video_id, id) VALUES (?, ?, ?, ?)"
ERASED_SINCE = "SELECT video_id, id FROM $keyspace.erasures WHERE minute = ? AND at_ms >= ?"
ANNOUNCE_LATE = "INSERT INTO $keyspace.late (minute, at_ms, video_id, low_id, high_id) VALUES (?, ?, ?, ?, ?)"
LATE_SINCE = "SELECT video_id, low_id, high_id FROM $keyspace.late WHERE minute = ? AND at_ms >= ?"


class CassandraNotices:
    """`history.store.Notices`, and the writing of them. Announce a change once it is durable: whoever sees the notice
    reads again, and must find it."""

    def __init__(self, tables: CassandraTables, settings: StoreSettings) -> None:
        self._tables = tables
        self._settings = settings

    async def announce_erased(self, video_id: str, ids: Sequence[int]) -> None:
        at_ms = wall_ms()
        await self._tables.run_batches(ANNOUNCE_ERASED, [[(at_ms // MINUTE_MS, at_ms, video_id, each) for each in ids]])

    async def announce_late(self, comments: Sequence[Comment]) -> None:
        """Their append isn't done until this has returned. Live comments cost nothing."""
        at_ms = wall_ms()
        found = stretches(late_among(comments, at_ms, self._settings.late_ms), self._settings.late_videos_max)
        if found:
            rows = [(at_ms // MINUTE_MS, at_ms, each.video_id, each.low_id, each.high_id) for each in found]
            await self._tables.run_batches(ANNOUNCE_LATE, [rows])

    async def erased_since(self, since_ms: int, now_ms: int) -> list[tuple[str, int]]:
        return [(video_id, comment_id) for video_id, comment_id in await self._since(ERASED_SINCE, since_ms, now_ms)]

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
