"""Deletes what has expired from the SQLite file, in slices, so that authors' writes come between."""

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial

from history.config import StoreSettings
from history.core.ids import first_id_at
from history.sqlite.claims import sweep_keys
from history.sqlite.file import WriteFile
from history.sqlite.moderating import sweep_names, sweep_purges
from history.sqlite.notices import sweep_changes, sweep_late

# One look for each video: the tree is asked for the next video, and its old comments lie at its beginning. With 100,000
# videos that takes a second; so it is a read of its own, which holds no lock.
FIND_COMMENTS = """
WITH RECURSIVE video (id) AS (
    SELECT min(video_id) FROM comments WHERE video_id >= ?1
    UNION ALL
    SELECT (SELECT min(video_id) FROM comments WHERE video_id > video.id) FROM video WHERE video.id IS NOT NULL
)
SELECT old.video_id, old.id FROM video JOIN comments AS old ON old.video_id = video.id AND old.id < ?2 LIMIT ?3
"""
DELETE_COMMENT = "DELETE FROM comments WHERE video_id = ? AND id = ?"


async def sweep(file: WriteFile, settings: StoreSettings, now_ms: int) -> int:
    """Returns how many rows were deleted: claims of keys, notices, names of purged authors, and comments older than
    `comments_keep_s`. Folds the log back into the file, so that what was erased until now is in neither."""
    limit = settings.erase_slice_max
    deleted = 0
    for sweep_some in (sweep_keys, sweep_late, sweep_changes, sweep_names, sweep_purges):
        deleted += await _in_slices(file, limit, partial(sweep_some, now_ms=now_ms, limit=limit))
    if settings.comments_keep_s:
        oldest = first_id_at(now_ms - settings.comments_keep_s * 1000)
        deleted += await _sweep_comments(file, oldest, limit)
    await file.fold_log()
    return deleted


async def _sweep_comments(file: WriteFile, oldest: int, limit: int) -> int:
    """Deletes those below this id, and returns how many. What has expired stays so: nothing can change between the look
    and the delete."""
    deleted, video_id = 0, ""
    while True:
        found = await file.query(FIND_COMMENTS, (video_id, oldest, limit))
        if found:
            deleted += await file.write(partial(_delete, found=found))
            video_id = found[-1][0]
        if len(found) < limit:
            return deleted


def _delete(connection: sqlite3.Connection, found: Sequence[tuple[str, int]]) -> int:
    return connection.executemany(DELETE_COMMENT, found).rowcount


async def _in_slices(file: WriteFile, limit: int, delete: Callable[[sqlite3.Connection], int]) -> int:
    """delete: deletes up to `limit` rows, and returns how many."""
    deleted = 0
    while True:
        count = await file.write(delete)
        deleted += count
        if count < limit:
            return deleted
