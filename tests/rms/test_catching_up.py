"""rms/catching_up.py: what was missed is read, however often and for however long it is missing."""

import asyncio

import pytest

from history.store import StoreUnavailable
from rms.clocks import wall_ms
from rms.past import Past
from tests.rms.conftest import StartNode
from tests.rms.parts import comment, ids
from tests.rms.test_app import viewer
from tests.waiting import eventually


async def test_without_history_the_live_comments_come_and_the_past_follows(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start_node(catch_up_retry_ms_max=10)
    await node.store.append([comment(1)])
    seed = Past.seed

    async def away(*args: object) -> object:
        raise StoreUnavailable("away, says the test")

    monkeypatch.setattr(Past, "seed", away)
    async with viewer(node.port, "/comments/v") as raw:
        node.dispatcher.deliver([comment(2)])
        assert ids(await raw.read_until(1)) == [comment(2).id]
        monkeypatch.setattr(Past, "seed", seed)
        assert ids(await raw.read_until(2)) == [comment(2).id, comment(1).id]


async def test_one_task_a_room_catches_up_however_often_it_is_told(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start_node(catch_up_retry_ms_max=10)
    feeds, since, tries = node.node.feeds, Past.since, 0

    async def away(*args: object) -> object:
        nonlocal tries
        tries += 1
        raise StoreUnavailable("away, says the test")

    async with viewer(node.port, "/comments/v") as raw, viewer(node.port, "/comments/w"):
        monkeypatch.setattr(Past, "since", away)
        talk = [comment(n, wall_ms()) for n in range(1_200)]
        await node.store.append(talk)
        for late in (talk[700], talk[0], talk[900]):
            feeds.catch_up(late.id)
            before = tries
            await eventually(lambda before=before: tries > before + 2)  # type: ignore[misc]
        assert len(feeds._background) == 2
        monkeypatch.setattr(Past, "since", since)
        assert ids(await raw.read_until(1_200)) == [each.id for each in talk]
        await eventually(lambda: not feeds._background)
        assert not any(room.is_behind or room.catching_up for room in feeds.rooms)


async def test_what_is_missed_while_history_is_read_is_read_as_well(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start_node()
    reading, go_on, since = asyncio.Event(), asyncio.Event(), Past.since

    async def slow(*args: object) -> object:
        page = await since(*args)  # type: ignore[arg-type]
        reading.set()
        await go_on.wait()
        return page

    monkeypatch.setattr(Past, "since", slow)
    async with viewer(node.port, "/comments/v") as raw:
        first, second = comment(1, wall_ms()), comment(2, wall_ms())
        await node.store.append([first])
        node.node.feeds.catch_up(first.id)
        await reading.wait()
        await node.store.append([second])
        node.node.feeds.catch_up(second.id)
        go_on.set()
        assert ids(await raw.read_until(2)) == [first.id, second.id]


async def test_a_gap_is_told_once_however_often_the_read_behind_it_fails(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start_node(catch_up_retry_ms_max=10, dedupe_ms=60_000)
    since, fails = Past.since, 0

    async def half_away(past: Past, video_id: str, from_id: int, limit: int) -> object:
        nonlocal fails
        if limit > 1 and fails < 3:
            fails += 1
            raise StoreUnavailable("away, says the test")
        return await since(past, video_id, from_id, limit)

    monkeypatch.setattr(Past, "since", half_away)
    async with viewer(node.port, "/comments/v") as raw:
        old, new = comment(1, wall_ms() - 120_000), comment(2, wall_ms())
        await node.store.append([old, new])
        node.node.feeds.catch_up(old.id)
        assert ids(await raw.read_until(1)) == [new.id]
        assert (fails, raw.body.count(b"event: gap\n")) == (3, 1)
