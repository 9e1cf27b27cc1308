"""Adds, changes and finds videos in Cassandra, by compare and set (LWT).

An LWT is one round trip for us and some between the replicas, so it is used only where one decision must hold for all
processes, and never for a comment. When its answer is lost the driver asks again, and the second request finds the
first one's row: so a row that holds what we wanted to write counts as written by us.
"""

from history.cassandra.session import Row
from history.cassandra.tables import CassandraTables
from history.core.model import Author
from history.core.video import Video

# Columns in the order in which Cassandra answers: the key, then the others by name.
ADD = """
INSERT INTO $keyspace.videos (id, created_at_ms, ended_at_ms, owner_id, owner_name, started_at_ms, title)
VALUES (?, ?, ?, ?, ?, ?, ?) IF NOT EXISTS
"""
CHANGE = """
UPDATE $keyspace.videos SET started_at_ms = ?, ended_at_ms = ? WHERE id = ?
IF created_at_ms = ? AND started_at_ms = ? AND ended_at_ms = ?
"""
FIND = """
SELECT id, created_at_ms, ended_at_ms, owner_id, owner_name, started_at_ms, title FROM $keyspace.videos WHERE id = ?
"""


class CassandraVideos:
    """`history.store.Videos`"""

    def __init__(self, tables: CassandraTables) -> None:
        self._tables = tables

    async def add_video(self, video: Video) -> bool:
        wanted = _row(video)
        ((applied, *theirs),) = await self._tables.run(ADD, *wanted)
        return bool(applied) or tuple(theirs) == wanted

    async def change_video(self, before: Video, after: Video) -> bool:
        times = (after.started_at_ms, after.ended_at_ms)
        ((applied, *_),) = await self._tables.run(
            CHANGE, *times, before.id, before.created_at_ms, before.started_at_ms, before.ended_at_ms
        )
        return bool(applied)

    async def video(self, video_id: str) -> Video | None:
        for row in await self._tables.run(FIND, video_id):
            return _video(row)
        return None


def _row(video: Video) -> Row:
    owner = (None, None) if video.owner is None else (video.owner.id, video.owner.name)
    return (video.id, video.created_at_ms, video.ended_at_ms, *owner, video.started_at_ms, video.title)


def _video(row: Row) -> Video:
    id_, created_at_ms, ended_at_ms, owner_id, owner_name, started_at_ms, title = row
    owner = None if owner_id is None else Author(owner_id, owner_name)
    return Video(id_, title, owner, created_at_ms, started_at_ms, ended_at_ms)
