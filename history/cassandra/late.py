"""Tells in Cassandra where comments came late, and what was told. The table is explained in schema.cql."""

from collections.abc import Sequence

from history.cassandra.tables import MINUTE_MS, CassandraTables
from history.clocks import wall_ms
from history.core.late import late_among, stretches, told
from history.core.model import Comment
from history.store import Stretch

TELL_LATE = "INSERT INTO $keyspace.late (minute, at_ms, video_id, low_id, high_id) VALUES (?, ?, ?, ?, ?)"
TOLD_LATE = "SELECT video_id, low_id, high_id FROM $keyspace.late WHERE minute = ? AND at_ms >= ?"


class CassandraLate(CassandraTables):
    async def late_since(self, since_ms: int, now_ms: int) -> list[Stretch]:
        rows_max = self._settings.late_told_max
        rows = await self._told(f"{TOLD_LATE} LIMIT {rows_max + 1}", since_ms, now_ms)
        return told(rows, now_ms, rows_max)

    async def tell_late(self, comments: Sequence[Comment]) -> None:
        """Call it when they are durable: whoever hears of them reads again, and must find them. Until this has
        returned, their append isn't done. Live comments cost nothing."""
        at_ms = wall_ms()
        found = stretches(late_among(comments, at_ms, self._settings.late_ms), self._settings.late_videos_max)
        if found:
            rows = [(at_ms // MINUTE_MS, at_ms, each.video_id, each.low_id, each.high_id) for each in found]
            await self._in_batches(TELL_LATE, [rows])
