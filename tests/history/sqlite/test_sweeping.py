"""history/sqlite/sweeping.py: what has expired goes, and authors don't wait for the search"""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from history.config import StoreSettings
from history.sqlite.store import SqliteStore
from tests.history.comments import START_MS, comments_every

Work = Callable[[sqlite3.Connection], Any]

KEEP_S = 3_600
EXPIRED_MS = START_MS + (KEEP_S + 60) * 1000


async def filled(path: Path, videos: int, slice_max: int) -> SqliteStore:
    """Two comments a video: one that expires at EXPIRED_MS, and one that doesn't"""
    store = await SqliteStore.open(path, StoreSettings(comments_keep_s=KEEP_S, erase_slice_max=slice_max))
    await store.append([each for n in range(videos) for each in comments_every(120_000, 2, f"video-{n:05}", START_MS)])
    return store


@pytest.mark.parametrize("slice_max", [1, 7, 500])
async def test_all_that_has_expired_goes_and_nothing_else(slice_max: int, tmp_path: Path) -> None:
    store = await filled(tmp_path / "file", 30, slice_max)
    await store.append(comments_every(1_000, 20, "video-00007b"))
    assert await store.sweep(EXPIRED_MS) == 50
    for n in range(30):
        assert [each.message for each in (await store.newer(f"video-{n:05}", 0, 10)).comments] == ["comment 1"]
    assert await store.sweep(EXPIRED_MS) == 0
    await store.close()


async def test_the_write_lock_is_not_held_while_videos_are_looked_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counts SQLite's steps within write transactions: they don't grow with the number of videos."""
    steps: list[int] = []
    for videos in (20, 2_000):
        store = await filled(tmp_path / f"{videos}", videos, 500)
        await store.sweep(EXPIRED_MS)
        write, counted = store._file.write, [0]

        async def counting(
            work: Callable[[sqlite3.Connection], Any], write: Any = write, counted: Any = counted
        ) -> Any:
            def watched(connection: sqlite3.Connection) -> Any:
                connection.set_progress_handler(lambda: counted.__setitem__(0, counted[0] + 1), 1)
                try:
                    return work(connection)
                finally:
                    connection.set_progress_handler(None, 0)

            return await write(watched)

        monkeypatch.setattr(store._file, "write", counting)
        assert await store.sweep(EXPIRED_MS) == 0
        steps.append(counted[0])
        await store.close()
    assert steps[1] < steps[0] + 100
