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
from history.sqlite.file import ReadFile, WriteFile

COLUMNS = "id, title, owner_id, owner_name, created_at_ms, planned_at_ms, started_at_ms, ended_at_ms, playback_url"
ADD = f"INSERT INTO videos ({COLUMNS}, changed_at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"  # noqa: S608
CHANGE = """
UPDATE videos SET title = ?, planned_at_ms = ?, started_at_ms = ?, ended_at_ms = ?, playback_url = ?, changed_at_ms = ?
WHERE id = ? AND title = ? AND planned_at_ms IS ? AND started_at_ms IS ? AND ended_at_ms IS ? AND playback_url IS ?
"""
FIND = f"SELECT {COLUMNS} FROM videos WHERE id IN (SELECT value FROM json_each(?))"  # noqa: S608
CHANGED = f"SELECT {COLUMNS} FROM videos WHERE changed_at_ms >= ? LIMIT ?"  # noqa: S608


class SqliteVideoReader:
    """`history.store.VideoReader`"""

    def __init__(self, file: ReadFile, settings: StoreSettings) -> None:
        self._read_file = file
        self._settings = settings

    async def videos(self, video_ids: Sequence[str]) -> list[Video]:
        return [_video(row) for row in await self._read_file.query(FIND, (json.dumps(list(video_ids)),))]

    async def changed_videos(self, since_ms: int, now_ms: int) -> list[Video] | None:
        rows_max = self._settings.video_notices_max
        rows = await self._read_file.query(CHANGED, (since_ms, rows_max + 1))
        return None if len(rows) > rows_max else [_video(row) for row in rows]


class SqliteVideos(SqliteVideoReader):
    """`history.store.Videos`"""

    def __init__(self, file: WriteFile, settings: StoreSettings) -> None:
        super().__init__(file, settings)
        self._file = file

    async def add_video(self, video: Video) -> bool:
        owner = (None, None) if video.owner is None else (video.owner.id, video.owner.name)
        row = (video.id, video.title, *owner, video.created_at_ms, *_changing(video)[1:])
        # The time is taken in the transaction: so it is in the order of the changes, also of several processes.
        return await self._file.write(lambda connection: connection.execute(ADD, (*row, wall_ms())).rowcount == 1)

    async def change_video(self, before: Video, after: Video) -> bool:
        set_, where = _changing(after), (before.id, *_changing(before))
        return await self._file.write(
            lambda connection: connection.execute(CHANGE, (*set_, wall_ms(), *where)).rowcount == 1
        )

    async def video(self, video_id: str) -> Video | None:
        return next(iter(await self.videos([video_id])), None)


def _changing(video: Video) -> tuple[Any, ...]:
    """What `change_video` may change"""
    return (video.title, video.planned_at_ms, video.started_at_ms, video.ended_at_ms, video.playback_url)


def _video(row: tuple[Any, ...]) -> Video:
    id_, title, owner_id, owner_name, created, planned, started, ended, playback_url = row
    owner = None if owner_id is None else Author(owner_id, owner_name)
    return Video(id_, title, owner, created, started, ended, planned, playback_url)
