"""Videos and node numbers in Cassandra, by compare and set (LWT).

An LWT is one round trip for us and some between the replicas, so it is used where a decision must be one for all
processes, and never for a comment. When its answer is lost the driver asks again, and the second one
finds the first one's row: so a row that says what we wanted to write counts as written by us.
"""

from history.cassandra.session import Row
from history.cassandra.tables import CassandraTables, ttl_s
from history.core.model import Author
from history.core.video import Video
from history.store import StoreUnavailable

# Columns in the order in which Cassandra answers: the key, then the others by name.
ADD_VIDEO = """
INSERT INTO $keyspace.videos (id, created_at_ms, ended_at_ms, owner_id, owner_name, started_at_ms, title)
VALUES (?, ?, ?, ?, ?, ?, ?) IF NOT EXISTS
"""
CHANGE_VIDEO = """
UPDATE $keyspace.videos SET started_at_ms = ?, ended_at_ms = ? WHERE id = ?
IF created_at_ms = ? AND started_at_ms = ? AND ended_at_ms = ?
"""
VIDEO = """
SELECT id, created_at_ms, ended_at_ms, owner_id, owner_name, started_at_ms, title FROM $keyspace.videos WHERE id = ?
"""
TAKE_NODE = "INSERT INTO $keyspace.nodes (node, holder, words) VALUES (?, ?, ?) IF NOT EXISTS USING TTL ?"
KEEP_NODE = "UPDATE $keyspace.nodes USING TTL ? SET holder = ?, words = ? WHERE node = ? IF holder = ?"
RELEASE_NODE = "DELETE FROM $keyspace.nodes WHERE node = ? IF holder = ?"

NODE_TRIES = 3


class CassandraRecords(CassandraTables):
    async def add_video(self, video: Video) -> bool:
        wanted = _row(video)
        ((applied, *theirs),) = await self._run(ADD_VIDEO, *wanted)
        return bool(applied) or tuple(theirs) == wanted

    async def change_video(self, before: Video, after: Video) -> bool:
        times = (after.started_at_ms, after.ended_at_ms)
        ((applied, *_),) = await self._run(
            CHANGE_VIDEO, *times, before.id, before.created_at_ms, before.started_at_ms, before.ended_at_ms
        )
        return bool(applied)

    async def video(self, video_id: str) -> Video | None:
        for row in await self._run(VIDEO, video_id):
            return _video(row)
        return None

    async def claim_node(self, node: int, holder: str, words: str, now_ms: int, lease_ms: int) -> str | None:
        """The lease is a time to live, in whole seconds; now_ms isn't needed."""
        lease_s = ttl_s(lease_ms)
        for _ in range(NODE_TRIES):  # a row may expire between the two
            ((taken, *theirs),) = await self._run(TAKE_NODE, node, holder, words, lease_s)
            if taken:
                return None
            _, their_holder, their_words = theirs
            if their_holder != holder:
                return str(their_words)
            ((kept, *_),) = await self._run(KEEP_NODE, lease_s, holder, words, node, holder)
            if kept:
                return None
        raise StoreUnavailable(f"Cassandra: the claim of node {node} was not decided")

    async def release_node(self, node: int, holder: str) -> None:
        await self._run(RELEASE_NODE, node, holder)

    async def sweep(self, now_ms: int) -> int:
        """Times to live do it."""
        return 0


def _row(video: Video) -> Row:
    owner = (None, None) if video.owner is None else (video.owner.id, video.owner.name)
    return (video.id, video.created_at_ms, video.ended_at_ms, *owner, video.started_at_ms, video.title)


def _video(row: Row) -> Video:
    id_, created_at_ms, ended_at_ms, owner_id, owner_name, started_at_ms, title = row
    owner = None if owner_id is None else Author(owner_id, owner_name)
    return Video(id_, title, owner, created_at_ms, started_at_ms, ended_at_ms)
