"""Adds, changes and finds videos in SQLite. The write lock makes each change one at a time, also among processes."""

from history.core.model import Author
from history.core.video import Video
from history.sqlite.file import WriteFile

ADD = "INSERT INTO videos VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
CHANGE = """
UPDATE videos SET started_at_ms = ?, ended_at_ms = ? WHERE id = ? AND started_at_ms IS ? AND ended_at_ms IS ?
"""
FIND = "SELECT id, title, owner_id, owner_name, created_at_ms, started_at_ms, ended_at_ms FROM videos WHERE id = ?"


class SqliteVideos:
    """`history.store.Videos`"""

    def __init__(self, file: WriteFile) -> None:
        self._file = file

    async def add_video(self, video: Video) -> bool:
        owner = (None, None) if video.owner is None else (video.owner.id, video.owner.name)
        row = (video.id, video.title, *owner, video.created_at_ms, video.started_at_ms, video.ended_at_ms)
        return await self._file.write(lambda connection: connection.execute(ADD, row).rowcount == 1)

    async def change_video(self, before: Video, after: Video) -> bool:
        row = (after.started_at_ms, after.ended_at_ms, before.id, before.started_at_ms, before.ended_at_ms)
        return await self._file.write(lambda connection: connection.execute(CHANGE, row).rowcount == 1)

    async def video(self, video_id: str) -> Video | None:
        for id_, title, owner_id, owner_name, *times in await self._file.query(FIND, (video_id,)):
            return Video(id_, title, None if owner_id is None else Author(owner_id, owner_name), *times)
        return None
