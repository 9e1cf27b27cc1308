"""Adds, changes and finds videos in Cassandra, by compare and set (LWT).

An LWT is one round trip for us and some between the replicas, so it is used only where one decision must hold for all
processes, and never for a comment. When its answer is lost the driver asks again, and the second request finds the
first one's row: so a row that holds what we wanted to write counts as written by us.
"""

import asyncio
from collections.abc import Sequence

from history.cassandra.notices import MINUTE_MS, minutes_since
from history.cassandra.session import Row
from history.cassandra.tables import CassandraTables
from history.clocks import wall_ms
from history.config import NOTICES_KEPT_MS, StoreSettings
from history.core.model import Author
from history.core.video import Video

COLUMNS = "id, created_at_ms, ended_at_ms, owner_id, owner_name, planned_at_ms, playback_url, started_at_ms, title"
"""in the order in which Cassandra answers: the key, then the others by name"""
ADD = f"INSERT INTO $keyspace.videos ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) IF NOT EXISTS"  # noqa: S608
CHANGE = """
UPDATE $keyspace.videos SET title = ?, planned_at_ms = ?, started_at_ms = ?, ended_at_ms = ?, playback_url = ?
WHERE id = ? IF created_at_ms = ? AND title = ? AND planned_at_ms = ? AND started_at_ms = ? AND ended_at_ms = ?
AND playback_url = ?
"""
FIND = f"SELECT {COLUMNS} FROM $keyspace.videos WHERE id IN ?"  # noqa: S608
ANNOUNCE = "INSERT INTO $keyspace.video_changes (minute, at_ms, video_id) VALUES (?, ?, ?)"
CHANGED = "SELECT video_id FROM $keyspace.video_changes WHERE minute = ? AND at_ms >= ? LIMIT ?"

FOUND_AT_ONCE = 100
"""Videos in one query: one node asks the others for all of them."""


class CassandraVideoReader:
    """`history.store.VideoReader`"""

    def __init__(self, tables: CassandraTables, settings: StoreSettings) -> None:
        self._tables = tables
        self._settings = settings

    async def videos(self, video_ids: Sequence[str]) -> list[Video]:
        some = [list(video_ids[n : n + FOUND_AT_ONCE]) for n in range(0, len(video_ids), FOUND_AT_ONCE)]
        found = await asyncio.gather(*(self._tables.run(FIND, ids) for ids in some))
        return [_video(row) for rows in found for row in rows]

    async def changed_videos(self, since_ms: int, now_ms: int) -> list[Video] | None:
        """Whoever sees a notice reads again, and finds the change: it is announced once it is durable."""
        if since_ms < now_ms - NOTICES_KEPT_MS:
            return None
        rows_max = self._settings.video_notices_max
        minutes = minutes_since(since_ms, now_ms)
        found = await asyncio.gather(*(self._tables.run(CHANGED, each, since_ms, rows_max + 1) for each in minutes))
        if sum(map(len, found)) > rows_max:
            return None
        return await self.videos(list({video_id for rows in found for (video_id,) in rows}))


class CassandraVideos(CassandraVideoReader):
    """`history.store.Videos`"""

    async def add_video(self, video: Video) -> bool:
        wanted = _row(video)
        ((applied, *theirs),) = await self._tables.run(ADD, *wanted)
        await self._announce(video.id)  # also for whoever has added it and died before this
        return bool(applied) or tuple(theirs) == wanted

    async def change_video(self, before: Video, after: Video) -> bool:
        ((applied, *_),) = await self._tables.run(
            CHANGE, *_changing(after), before.id, before.created_at_ms, *_changing(before)
        )
        if applied:
            await self._announce(after.id)
        return bool(applied)

    async def video(self, video_id: str) -> Video | None:
        return next(iter(await self.videos([video_id])), None)

    async def _announce(self, video_id: str) -> None:
        """The order isn't done until this has returned. If it fails the order is repeated, and announces again."""
        at_ms = wall_ms()
        await self._tables.run(ANNOUNCE, at_ms // MINUTE_MS, at_ms, video_id)


def _row(video: Video) -> Row:
    owner = (None, None) if video.owner is None else (video.owner.id, video.owner.name)
    times = (video.planned_at_ms, video.playback_url, video.started_at_ms)
    return (video.id, video.created_at_ms, video.ended_at_ms, *owner, *times, video.title)


def _changing(video: Video) -> Row:
    """What `change_video` may change"""
    return (video.title, video.planned_at_ms, video.started_at_ms, video.ended_at_ms, video.playback_url)


def _video(row: Row) -> Video:
    id_, created_at_ms, ended_at_ms, owner_id, owner_name, planned_at_ms, playback_url, started_at_ms, title = row
    owner = None if owner_id is None else Author(owner_id, owner_name)
    return Video(id_, title, owner, created_at_ms, started_at_ms, ended_at_ms, planned_at_ms, playback_url)
