"""Deletes what has expired from the SQLite file, in slices, so that authors' writes come between."""

import sqlite3
from collections.abc import Callable
from functools import partial

from history.config import StoreSettings
from history.core.ids import first_id_at
from history.sqlite.claims import sweep_keys
from history.sqlite.file import WriteFile
from history.sqlite.moderating import sweep_names, sweep_purges
from history.sqlite.notices import sweep_changes, sweep_late

# One look for each video: the tree is asked for the next video, and its old comments lie at its beginning.
SWEEP_COMMENTS = """
WITH RECURSIVE video (id) AS (
    SELECT min(video_id) FROM comments
    UNION ALL
    SELECT (SELECT min(video_id) FROM comments WHERE video_id > video.id) FROM video WHERE video.id IS NOT NULL
)
DELETE FROM comments WHERE (video_id, id) IN (
    SELECT old.video_id, old.id FROM video JOIN comments AS old ON old.video_id = video.id AND old.id < ?1 LIMIT ?2
)
"""


async def sweep(file: WriteFile, settings: StoreSettings, now_ms: int) -> int:
    """Returns how many rows were deleted: claims of keys, notices, names of purged authors, and comments older than
    `comments_keep_s`. Folds the log back into the file, so that what was erased until now is in neither."""
    limit = settings.erase_slice_max
    deleted = 0
    for sweep_some in (sweep_keys, sweep_late, sweep_changes, sweep_names, sweep_purges):
        deleted += await _in_slices(file, limit, partial(sweep_some, now_ms=now_ms, limit=limit))
    if settings.comments_keep_s:
        oldest = first_id_at(now_ms - settings.comments_keep_s * 1000)
        deleted += await _in_slices(
            file, limit, lambda connection: connection.execute(SWEEP_COMMENTS, (oldest, limit)).rowcount
        )
    await file.fold_log()
    return deleted


async def _in_slices(file: WriteFile, limit: int, delete: Callable[[sqlite3.Connection], int]) -> int:
    """delete: deletes up to `limit` rows, and returns how many."""
    deleted = 0
    while True:
        count = await file.write(delete)
        deleted += count
        if count < limit:
            return deleted
