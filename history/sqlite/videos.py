"""Adds, changes and finds videos in SQLite. The write lock makes each change one at a time, also among processes.

A row has the time of its last change, and an index finds what has changed since a time.
"""

import json
from collections.abc import Sequence
from typing import Any

from history.clocks import wall_ms
from history.config import StoreSettings
from history.core.model import Author
from history.core.video import Video
from history.sqlite.file import WriteFile

COLUMNS = "id, title, owner_id, owner_name, created_at_ms, started_at_ms, ended_at_ms"
ADD = f"INSERT INTO videos ({COLUMNS}, changed_at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"  # noqa: S608
CHANGE = """
UPDATE videos SET started_at_ms = ?, ended_at_ms = ?, changed_at_ms = ?
WHERE id = ? AND started_at_ms IS ? AND ended_at_ms IS ?
"""
FIND = f"SELECT {COLUMNS} FROM videos WHERE id IN (SELECT value FROM json_each(?))"  # noqa: S608
CHANGED = f"SELECT {COLUMNS} FROM videos WHERE changed_at_ms >= ? LIMIT ?"  # noqa: S608


class SqliteVideos:
    """`history.store.Videos`"""

    def __init__(self, file: WriteFile, settings: StoreSettings) -> None:
        self._file = file
        self._settings = settings

    async def add_video(self, video: Video) -> bool:
        owner = (None, None) if video.owner is None else (video.owner.id, video.owner.name)
        row = (video.id, video.title, *owner, video.created_at_ms, video.started_at_ms, video.ended_at_ms)
        # The time is taken in the transaction: so it is in the order of the changes, also of several processes.
        return await self._file.write(lambda connection: connection.execute(ADD, (*row, wall_ms())).rowcount == 1)

    async def change_video(self, before: Video, after: Video) -> bool:
        set_, where = (after.started_at_ms, after.ended_at_ms), (before.id, before.started_at_ms, before.ended_at_ms)
        return await self._file.write(
            lambda connection: connection.execute(CHANGE, (*set_, wall_ms(), *where)).rowcount == 1
        )

    async def video(self, video_id: str) -> Video | None:
        return next(iter(await self.videos([video_id])), None)

    async def videos(self, video_ids: Sequence[str]) -> list[Video]:
        return [_video(row) for row in await self._file.query(FIND, (json.dumps(list(video_ids)),))]

    async def changed_videos(self, since_ms: int, now_ms: int) -> list[Video] | None:
        rows_max = self._settings.video_notices_max
        rows = await self._file.query(CHANGED, (since_ms, rows_max + 1))
        return None if len(rows) > rows_max else [_video(row) for row in rows]


def _video(row: tuple[Any, ...]) -> Video:
    id_, title, owner_id, owner_name, *times = row
    return Video(id_, title, None if owner_id is None else Author(owner_id, owner_name), *times)
