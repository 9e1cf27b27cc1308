"""CopiesUpkeep: evicts what others erased, reads again what came late; each once, also after the store was away"""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from comment_service.moderate import copies
from comment_service.moderate.copies import CopiesUpkeep, NodeCopies, one_for_each_video
from history.config import StoreSettings
from history.core.ids import first_id_at
from history.core.late import Stretch
from history.core.model import AUTHOR_PURGED, ERASED, HIDDEN, RESTORED, Change
from history.opening import open_store
from history.store import History, StoreUnavailable
from proto.tasks import Supervisor
from tests.comment_service.parts import comment
from tests.waiting import eventually


def change(video_id: str, target_id: int, kind: str = ERASED) -> Change:
    return Change(first_id_at(time.time_ns() // 1_000_000) + target_id, video_id, kind, target_id)


class Node:
    """A process's copies, and the store that it asks"""

    def __init__(self, store: History) -> None:
        self.store = store
        self.away = False
        self.late_away = False
        self.torn = False
        self.looks = 0
        self.evicted: list[tuple[str, int]] = []
        self.late: list[tuple[str, int, int]] = []
        self.failing: set[str] = set()
        self.failures = 0

    def history(self) -> History:
        self.looks += 1
        if self.away:
            raise StoreUnavailable("away")
        return self  # type: ignore[return-value]  # only what is asked for here

    async def changes_since(self, since_ms: int, now_ms: int) -> AsyncIterator[list[Change]]:
        async for page in self.store.changes_since(since_ms, now_ms):
            yield page
            if self.torn:
                raise StoreUnavailable("in the middle")

    async def late_since(self, since_ms: int, now_ms: int) -> list[Stretch]:
        if self.late_away:
            raise StoreUnavailable("too much to read")
        return await self.store.late_since(since_ms, now_ms)

    async def apply(self, *changes: Change) -> None:
        self._fail_for(changes[0].video_id)
        self.evicted.extend((each.video_id, each.target_id) for each in changes)

    async def invalidate(self, video_id: str, low_id: int, high_id: int) -> None:
        self._fail_for(video_id)
        self.late.append((video_id, low_id, high_id))

    async def wait_drained(self) -> None:
        raise AssertionError("not needed here")

    def _fail_for(self, video_id: str) -> None:
        if video_id in self.failing:
            self.failures += 1
            raise ZeroDivisionError(f"a fault in the copies of {video_id}")

    async def some_looks(self) -> None:
        self.looks = 0
        await eventually(lambda: self.looks >= 5)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    node = Node(await open_store(f"sqlite:{tmp_path}/comments.db", StoreSettings(change_notices_max=2)))
    tasks = Supervisor()
    tasks.keep("evict", CopiesUpkeep(node.history, node, every_ms=1, overlap_ms=30_000).run)
    yield node
    await tasks.close()
    await node.store.close()


async def test_what_others_erase_is_evicted_once(node: Node) -> None:
    node.away = True
    await node.some_looks()
    await node.store.apply([change("a", 1), change("a", 2)])
    node.away = False
    await eventually(lambda: sorted(node.evicted) == [("a", 1), ("a", 2)])
    await node.store.apply([change("b", 3)])
    await eventually(lambda: len(node.evicted) == 3)
    await node.some_looks()
    assert sorted(node.evicted) == [("a", 1), ("a", 2), ("b", 3)]


async def test_pages_are_read_again_when_the_store_goes_away_between_them(node: Node) -> None:
    node.torn = True
    await node.store.apply([change("a", n) for n in range(5)])
    await eventually(lambda: len(node.evicted) == 2)
    await node.some_looks()
    assert len(node.evicted) == 2
    node.torn = False
    await eventually(lambda: len(node.evicted) == 5)
    await node.some_looks()
    assert sorted(node.evicted) == [("a", n) for n in range(5)]


async def test_what_was_announced_while_the_clock_was_ahead_is_asked_for(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "wall_ms", lambda: time.time_ns() // 1_000_000 + 3_600_000)
    await node.some_looks()
    await node.store.apply([change("a", 1)])
    await node.some_looks()
    assert node.evicted == []
    monkeypatch.undo()
    await eventually(lambda: node.evicted == [("a", 1)])


async def test_what_came_late_is_read_again_once(node: Node) -> None:
    now_ms = time.time_ns() // 1_000_000
    live, old, older = (comment(first_id_at(now_ms - age_ms)) for age_ms in (0, 60_000, 90_000))
    await node.store.append([live])
    await node.store.append([older, old, live])
    await eventually(lambda: node.late == [("demo", older.id, old.id)])
    await node.some_looks()
    assert len(node.late) == 1


async def test_what_is_erased_waits_for_nothing_that_came_late(node: Node) -> None:
    node.late_away = True
    old = comment(first_id_at(time.time_ns() // 1_000_000 - 60_000))
    await node.store.append([old])
    await node.store.apply([change("a", 1)])
    await eventually(lambda: node.evicted == [("a", 1)])
    await node.some_looks()
    node.late_away = False
    await eventually(lambda: node.late == [("demo", old.id, old.id)])
    assert node.evicted == [("a", 1)]


async def test_a_video_whose_copies_fail_is_tried_again_and_holds_up_no_other(node: Node) -> None:
    node.failing = {"a", "b"}
    now_ms = time.time_ns() // 1_000_000
    with capture_logs() as lines:
        await node.store.append([comment(first_id_at(now_ms - 60_000), video) for video in ("b", "c")])
        await node.store.apply([change("a", 1)])
        await node.store.apply([change("c", 2)])
        await eventually(lambda: node.evicted == [("c", 2)] and [each[0] for each in node.late] == ["c"])
        await eventually(lambda: node.failures >= 5)
        node.failing = set()
        await eventually(lambda: len(node.evicted) == 2 and len(node.late) == 2)
    assert {(line["event"], line["video"]) for line in lines} == {
        ("changes not applied to the copies", "a"),
        ("late comments not read", "b"),
    }
    await node.some_looks()
    assert (node.evicted, [each[0] for each in node.late]) == ([("c", 2), ("a", 1)], ["c", "b"])


async def test_each_change_reaches_the_cache_and_the_spool() -> None:
    calls: list[tuple[object, ...]] = []

    class Recorded:
        def __init__(self, where: str) -> None:
            self._where = where

        def __getattr__(self, name: str) -> Any:
            async def note(*arguments: object) -> None:
                calls.append((self._where, name, *arguments))

            return note

    class Spooled(Recorded):
        def __getattr__(self, name: str) -> Any:
            return lambda *arguments: calls.append((self._where, name, *arguments))

    node: Any = NodeCopies(Recorded("cache"), Spooled("spool"))  # type: ignore[arg-type]
    purged = Change(9, "a", AUTHOR_PURGED, author_id="ann", up_to_id=8)
    await node.apply(change("a", 1, RESTORED), change("a", 1, HIDDEN), change("a", 2), purged)
    assert calls == [
        ("spool", "evict", "a", [1, 2]),
        ("cache", "evict", "a", [1, 2]),
        ("cache", "invalidate", "a", 1, 1),
        ("spool", "evict_author", "ann", "a", 8),
        ("cache", "evict_author", "ann", "a", 8),
    ]


def test_a_video_is_read_again_once_for_all_that_was_reported() -> None:
    reported = {Stretch("a", 5, 9), Stretch("b", 1, 2), Stretch("a", 7, 12), Stretch("a", 2, 3)}
    assert set(one_for_each_video(reported)) == {Stretch("a", 2, 12), Stretch("b", 1, 2)}
