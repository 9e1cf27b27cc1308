"""Forgetting what others erased: each once, also after the store was away"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from comment_service.forgetting import forget_for_ever
from history.opening import open_store
from history.store import History, StoreUnavailable
from tests.waiting import eventually


async def test_what_others_erase_is_forgotten_once(tmp_path: Path) -> None:
    store = await open_store(f"sqlite:{tmp_path}/comments.db")
    forgotten: list[tuple[str, int]] = []
    looks = 0
    away = True

    def history() -> History:
        nonlocal looks
        looks += 1
        if away:
            raise StoreUnavailable("away")
        return store

    async def forget(video_id: str, ids: Sequence[int]) -> None:
        forgotten.extend((video_id, each) for each in ids)

    asking = asyncio.create_task(forget_for_ever(history, forget, every_ms=1, overlap_ms=30_000))
    await eventually(lambda: looks >= 3)
    await store.erase("a", [1, 2])
    away = False
    await eventually(lambda: forgotten == [("a", 1), ("a", 2)])
    await store.erase("b", [3])
    await eventually(lambda: len(forgotten) == 3)
    looks = 0
    await eventually(lambda: looks >= 5)
    assert forgotten == [("a", 1), ("a", 2), ("b", 3)]
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await store.close()
