"""Forgetting what others erased, and reading again what came late: each once, also after the store was away"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from comment_service.erase.copies import forget_for_ever, one_for_each_video
from history.core.ids import first_id_at
from history.opening import open_store
from history.store import History, StoreUnavailable, Stretch
from tests.comment_service.parts import comment
from tests.waiting import eventually


class Hearing:
    """A process's copies, and the store that it asks"""

    def __init__(self, store: History) -> None:
        self.store = store
        self.away = False
        self.late_away = False
        self.looks = 0
        self.forgotten: list[tuple[str, int]] = []
        self.late: list[tuple[str, int, int]] = []

    def history(self) -> History:
        self.looks += 1
        if self.away:
            raise StoreUnavailable("away")
        return self  # type: ignore[return-value]  # only what is asked for here

    async def erased_since(self, since_ms: int, now_ms: int) -> list[tuple[str, int]]:
        return await self.store.erased_since(since_ms, now_ms)

    async def late_since(self, since_ms: int, now_ms: int) -> list[Stretch]:
        if self.late_away:
            raise StoreUnavailable("too much to read")
        return await self.store.late_since(since_ms, now_ms)

    async def forget(self, video_id: str, ids: Sequence[int]) -> None:
        self.forgotten.extend((video_id, each) for each in ids)

    async def read_again(self, video_id: str, low_id: int, high_id: int) -> None:
        self.late.append((video_id, low_id, high_id))

    async def some_looks(self) -> None:
        self.looks = 0
        await eventually(lambda: self.looks >= 5)


@pytest.fixture
async def hearing(tmp_path: Path) -> AsyncIterator[Hearing]:
    hearing = Hearing(await open_store(f"sqlite:{tmp_path}/comments.db"))
    asking = asyncio.create_task(forget_for_ever(hearing.history, hearing, every_ms=1, overlap_ms=30_000))
    yield hearing
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await hearing.store.close()


async def test_what_others_erase_is_forgotten_once(hearing: Hearing) -> None:
    hearing.away = True
    await hearing.some_looks()
    await hearing.store.erase("a", [1, 2])
    hearing.away = False
    await eventually(lambda: hearing.forgotten == [("a", 1), ("a", 2)])
    await hearing.store.erase("b", [3])
    await eventually(lambda: len(hearing.forgotten) == 3)
    await hearing.some_looks()
    assert hearing.forgotten == [("a", 1), ("a", 2), ("b", 3)]


async def test_what_came_late_is_read_again_once(hearing: Hearing) -> None:
    now_ms = time.time_ns() // 1_000_000
    live, old, older = (comment(first_id_at(now_ms - age_ms)) for age_ms in (0, 60_000, 90_000))
    await hearing.store.append([live])
    await hearing.store.append([older, old, live])
    await eventually(lambda: hearing.late == [("demo", older.id, old.id)])
    await hearing.some_looks()
    assert len(hearing.late) == 1


async def test_what_is_erased_waits_for_nothing_that_came_late(hearing: Hearing) -> None:
    hearing.late_away = True
    old = comment(first_id_at(time.time_ns() // 1_000_000 - 60_000))
    await hearing.store.append([old])
    await hearing.store.erase("a", [1])
    await eventually(lambda: hearing.forgotten == [("a", 1)])
    await hearing.some_looks()
    hearing.late_away = False
    await eventually(lambda: hearing.late == [("demo", old.id, old.id)])
    assert hearing.forgotten == [("a", 1)]


def test_a_video_is_read_again_once_for_all_that_was_told() -> None:
    told = {Stretch("a", 5, 9), Stretch("b", 1, 2), Stretch("a", 7, 12), Stretch("a", 2, 3)}
    assert set(one_for_each_video(told)) == {Stretch("a", 2, 12), Stretch("b", 1, 2)}
