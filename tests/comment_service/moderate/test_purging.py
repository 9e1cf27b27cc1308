"""Purges: one event for each video, whatever dies in between, and again for what comes late"""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from comment_service.clocks import wall_ms
from comment_service.moderate import purging
from history.config import NAMED_MS, PURGE_FIRST_LOOK_MS, PURGE_LOOKS_MS, PURGES_KEPT_MS
from history.core.ids import first_id_at
from history.core.late import ALL_VIDEOS
from history.core.model import AUTHOR_PURGED, Author, Change, Comment, Gone
from history.core.purges import Purge
from history.opening import open_store
from history.store import History, StoreUnavailable
from proto.tasks import Supervisor
from tests.comment_service.moderate.parts import FailingStore, ModeratingNode
from tests.waiting import eventually

ANN = Author("ann", "Ann")


class Clock:
    """Wall time, moved forward by the test"""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def __call__(self) -> int:
        return wall_ms() + self.ahead_ms


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(purging, "wall_ms", clock)
    return clock


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[History]:
    store = await open_store(f"sqlite:{tmp_path}/comments.db")
    yield store
    await store.close()


@pytest.fixture
async def tasks() -> AsyncIterator[Supervisor]:
    tasks = Supervisor()
    yield tasks
    await tasks.close()


def said(video_id: str, count: int, ago_ms: int = 60_000, author: Author = ANN) -> list[Comment]:
    ms = wall_ms() - ago_ms
    return [Comment(first_id_at(ms + n), video_id, author, "hi", ms + n) for n in range(count)]


async def events(store: History, video_id: str) -> list[Change]:
    return [event for event in await store.events(video_id, 0, 100) if isinstance(event, Change)]


async def is_gone(store: History, video_id: str) -> bool:
    return not (await store.newer(video_id, 0, 100)).comments


async def test_one_event_for_each_video(store: History) -> None:
    node = ModeratingNode(store)
    await store.append([*said("a", 3), *said("b", 2), *said("c", 1, author=Author("bob", "Bob"))])
    order = await node.purges.purge("ann", None)
    assert (order.comments, order.is_published) == (5, True)
    for video_id in ("a", "b"):
        (event,) = await events(store, video_id)
        assert (event.kind, event.author_id) == (AUTHOR_PURGED, "ann")
        assert await is_gone(store, video_id)
    assert [each.video_id for each in node.publisher.put_] == ["a", "b"]
    assert [each.video_id for each in node.copies.applied] == [ALL_VIDEOS, "a", "b"]
    assert await events(store, "c") == []
    assert not await is_gone(store, "c")
    again = await node.purges.purge("ann", None)
    assert (again.comments, len(node.publisher.put_)) == (0, 2)


async def test_a_video_that_is_named_gets_its_event_also_if_nothing_of_his_is_stored(
    store: History, tasks: Supervisor, clock: Clock
) -> None:
    """His comments may lie in another process's spool, and be on all screens."""
    node = ModeratingNode(store)
    order = await node.purges.purge("ann", "a")
    assert (order.comments, order.is_published) == (0, True)
    (event,) = await events(store, "a")
    assert (event.kind, event.author_id) == (AUTHOR_PURGED, "ann")
    assert [each.video_id for each in node.publisher.put_] == ["a"]
    tasks.keep("purges", node.purges.run)
    clock.ahead_ms = PURGE_LOOKS_MS[0]

    async def has_looked() -> bool:
        return [each.looks for each in await store.purges(wall_ms())] == [2]

    await eventually(has_looked)
    assert len(await events(store, "a")) == 1  # once is enough


async def test_a_process_that_died_leaves_the_first_look_to_another(
    store: History, tasks: Supervisor, clock: Clock
) -> None:
    old = said("a", 3, ago_ms=10 * 86_400_000)
    await store.append(old)
    now_ms = wall_ms()
    await store.begin_purge(Purge(first_id_at(now_ms), "ann", ALL_VIDEOS, first_id_at(now_ms)))
    node = ModeratingNode(store, 1)
    tasks.keep("purges", node.purges.run)
    clock.ahead_ms = PURGE_FIRST_LOOK_MS
    await eventually(lambda: is_gone(store, "a"))
    await eventually(lambda: len(node.publisher.put_) == 1)


@pytest.mark.parametrize("dies_at", ["apply", "erase", "note_look"])
async def test_wherever_it_dies_the_next_look_does_the_rest(
    store: History, tasks: Supervisor, clock: Clock, dies_at: str
) -> None:
    node = ModeratingNode(FailingStore(store, dies_at))  # type: ignore[arg-type]
    await store.append(said("a", 3))
    with pytest.raises(StoreUnavailable):
        await node.purges.purge("ann", "a")
    assert len(node.publisher.abandoned) == (dies_at == "apply")
    other = ModeratingNode(store, 1)
    tasks.keep("purges", other.purges.run)
    clock.ahead_ms = PURGE_FIRST_LOOK_MS

    async def has_looked() -> bool:
        return [each.looks > 0 for each in await store.purges(wall_ms())] == [True]

    await eventually(has_looked)
    assert await is_gone(store, "a")
    assert 1 <= len(await events(store, "a")) <= 2
    assert len(node.publisher.put_) + len(other.publisher.put_) == len(await events(store, "a"))


async def test_what_comes_late_is_found_by_the_next_look(
    store: History, tasks: Supervisor, clock: Clock, tmp_path: Path
) -> None:
    node = ModeratingNode(store)
    await store.append(said("a", 1))
    await node.purges.purge("ann", None)
    tasks.keep("purges", node.purges.run)
    late = said("b", 1, ago_ms=3_600_000)[0]
    with closing(sqlite3.connect(tmp_path / "comments.db", isolation_level=None)) as past_the_append:
        row = (late.video_id, late.id, "ann", "Ann", "hi", late.created_at_ms)
        insert = "INSERT INTO comments (video_id, id, author_id, author_name, message, created_at_ms) "
        past_the_append.execute(f"{insert} VALUES (?, ?, ?, ?, ?, ?)", row)
    assert not await is_gone(store, "b")
    clock.ahead_ms = PURGE_LOOKS_MS[0]

    async def is_overwritten() -> bool:
        return await store.events("b", 0, 1) == [Gone(late.id, "b")]

    await eventually(is_overwritten)
    await eventually(lambda: [each.video_id for each in node.publisher.put_] == ["a", "b"])


async def test_one_that_can_not_be_carried_on_holds_up_no_other(
    store: History, tasks: Supervisor, clock: Clock
) -> None:
    """Of one author's videos some partition has lost its quorum; another look meets an error of ours."""

    class Broken(FailingStore):
        def comments_of(self, author_id: str, *arguments: object) -> object:
            if author_id == "bob":
                raise StoreUnavailable("cut off by the test")
            if author_id == "eve":
                raise ZeroDivisionError("broken by the test")
            return store.comments_of(author_id, *arguments)  # type: ignore[arg-type]

    await store.append(said("a", 1))
    now_ms = wall_ms()
    for n, author_id in enumerate(("bob", "eve", "ann")):
        await store.begin_purge(Purge(first_id_at(now_ms) + n, author_id, ALL_VIDEOS, first_id_at(now_ms)))
    node = ModeratingNode(Broken(store))  # type: ignore[arg-type]
    tasks.keep("purges", node.purges.run)
    clock.ahead_ms = PURGE_FIRST_LOOK_MS
    await eventually(lambda: is_gone(store, "a"))


async def test_after_the_last_look_it_ends(store: History, tasks: Supervisor, clock: Clock) -> None:
    node = ModeratingNode(store)
    await node.purges.purge("ann", None)
    tasks.keep("purges", node.purges.run)
    for looks, ahead_ms in enumerate(PURGE_LOOKS_MS[:-1], 2):
        clock.ahead_ms = ahead_ms

        async def has_looked(looks: int = looks) -> bool:
            return [each.looks for each in await store.purges(wall_ms())] == [looks]

        await eventually(has_looked)
    clock.ahead_ms = PURGE_LOOKS_MS[-1]

    async def has_ended() -> bool:
        return await store.purges(wall_ms()) == []

    await eventually(has_ended)
    assert list(PURGE_LOOKS_MS) == sorted(PURGE_LOOKS_MS)
    assert PURGE_LOOKS_MS[-1] > 3 * 3_600_000, "Cassandra's hints"
    assert PURGE_LOOKS_MS[-1] < PURGES_KEPT_MS < NAMED_MS


async def test_the_store_is_away(store: History) -> None:
    node = ModeratingNode(FailingStore(store, "begin_purge"))  # type: ignore[arg-type]
    with pytest.raises(StoreUnavailable):
        await node.purges.purge("ann", None)
    assert (node.publisher.begun, node.copies.applied) == ([], [])
