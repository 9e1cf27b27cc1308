"""SqliteLate keeps the contract, and forgets after an hour."""

import time
from pathlib import Path

from history.config import TOLD_SINCE_MS_MAX, StoreSettings
from history.opening import open_store
from tests.history.comments import comments_every
from tests.history.contract import video
from tests.history.late_contract import LateContract
from tests.history.sqlite.test_store import new_url, store, url

__all__ = ["new_url", "store", "url", "video"]


class TestSqliteLate(LateContract):
    pass


async def test_what_was_told_an_hour_ago_is_swept(tmp_path: Path) -> None:
    store = await open_store(f"sqlite:{tmp_path}/comments.db", StoreSettings(erase_slice_max=2))
    for n in range(5):
        await store.append(comments_every(1, 3, f"video-{n}"))
    now_ms = time.time_ns() // 1_000_000
    assert await store.sweep(now_ms) == 0
    assert await store.sweep(now_ms + TOLD_SINCE_MS_MAX + 10_000) == 5
    assert await store.late_since(0, now_ms) == []
    await store.close()
