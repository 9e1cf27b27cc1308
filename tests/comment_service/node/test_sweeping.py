"""Sweeping: goes on, whatever a sweep does"""

import asyncio
from pathlib import Path

from comment_service.node.sweeping import sweep_for_ever
from history.config import StoreSettings
from history.opening import open_store
from history.store import History, StoreUnavailable
from tests.history.comments import a_comment
from tests.waiting import eventually


async def test_old_comments_go_once_the_store_is_there(tmp_path: Path) -> None:
    store = await open_store(f"sqlite:{tmp_path}/comments.db", StoreSettings(comments_keep_s=60, erase_slice_max=2))
    await store.append([a_comment(n, video) for n in range(1, 8) for video in ("a", "b")])
    calls = 0

    def records() -> History:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise StoreUnavailable("not yet")
        return store

    async def is_swept() -> bool:
        return not (await store.older("a", None, 10)).comments and not (await store.older("b", None, 10)).comments

    sweeping = asyncio.create_task(sweep_for_ever(records, 0.001))
    await eventually(is_swept)
    sweeping.cancel()
    await asyncio.gather(sweeping, return_exceptions=True)
    await store.close()
