"""Videos and node numbers in SQLite. The write lock makes each of these decisions one at a time, also among
processes."""

import sqlite3
from collections.abc import Callable

from history.core.ids import first_id_at
from history.core.model import Author
from history.core.video import Video
from history.sqlite.claims import sweep_claims
from history.sqlite.file import WriteFile
from history.sqlite.late import sweep_late

VIDEO = "SELECT id, title, owner_id, owner_name, created_at_ms, started_at_ms, ended_at_ms FROM videos WHERE id = ?"
CHANGE_VIDEO = """
UPDATE videos SET started_at_ms = ?, ended_at_ms = ? WHERE id = ? AND started_at_ms IS ? AND ended_at_ms IS ?
"""
CLAIM_NODE = """
INSERT INTO nodes VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (node) DO UPDATE SET holder = ?2, words = ?3, expires_at_ms = ?4 WHERE holder = ?2 OR expires_at_ms <= ?5
"""
# One look for each video: the tree is asked for the next video, and its old comments lie at its beginning.
DROP_COMMENTS = """
WITH RECURSIVE video (id) AS (
    SELECT min(video_id) FROM comments
    UNION ALL
    SELECT (SELECT min(video_id) FROM comments WHERE video_id > video.id) FROM video WHERE video.id IS NOT NULL
)
DELETE FROM comments WHERE (video_id, id) IN (
    SELECT old.video_id, old.id FROM video JOIN comments AS old ON old.video_id = video.id AND old.id < ?1 LIMIT ?2
)
"""


class SqliteRecords(WriteFile):
    async def add_video(self, video: Video) -> bool:
        owner = (None, None) if video.owner is None else (video.owner.id, video.owner.name)
        row = (video.id, video.title, *owner, video.created_at_ms, video.started_at_ms, video.ended_at_ms)
        insert = "INSERT INTO videos VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
        return await self._write(lambda file: file.execute(insert, row).rowcount == 1)

    async def change_video(self, before: Video, after: Video) -> bool:
        row = (after.started_at_ms, after.ended_at_ms, before.id, before.started_at_ms, before.ended_at_ms)
        return await self._write(lambda file: file.execute(CHANGE_VIDEO, row).rowcount == 1)

    async def video(self, video_id: str) -> Video | None:
        for id_, title, owner_id, owner_name, *times in await self._query(VIDEO, (video_id,)):
            return Video(id_, title, None if owner_id is None else Author(owner_id, owner_name), *times)
        return None

    async def claim_node(self, node: int, holder: str, words: str, now_ms: int, lease_ms: int) -> str | None:
        def work(file: sqlite3.Connection) -> str | None:
            if file.execute(CLAIM_NODE, (node, holder, words, now_ms + lease_ms, now_ms)).rowcount:
                return None
            (theirs,) = file.execute("SELECT words FROM nodes WHERE node = ?", (node,)).fetchone()
            return str(theirs)

        return await self._write(work)

    async def release_node(self, node: int, holder: str) -> None:
        delete = "DELETE FROM nodes WHERE node = ? AND holder = ?"
        await self._write(lambda file: file.execute(delete, (node, holder)).rowcount)

    async def sweep(self, now_ms: int) -> int:
        dropped = await self._in_slices(lambda file, limit: sweep_claims(file, now_ms, limit))
        dropped += await self._in_slices(lambda file, limit: sweep_late(file, now_ms, limit))
        if self._settings.comments_keep_s:
            oldest = first_id_at(now_ms - self._settings.comments_keep_s * 1000)
            dropped += await self._in_slices(lambda file, limit: file.execute(DROP_COMMENTS, (oldest, limit)).rowcount)
        return dropped

    async def _in_slices(self, drop: Callable[[sqlite3.Connection, int], int]) -> int:
        """So that authors' writes come between. drop: at most so many rows, and how many these were."""
        dropped, limit = 0, self._settings.erase_slice_max
        while True:
            gone = await self._write(lambda file: drop(file, limit))
            dropped += gone
            if gone < limit:
                return dropped
