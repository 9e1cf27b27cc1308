"""rms/feeds.py: opening and dropping, and that nothing falls between history and the live stream."""

import asyncio

import pytest

from rms.past import Past
from tests.rms.conftest import StartNode
from tests.rms.parts import comment, ids
from tests.rms.test_app import viewer
from tests.waiting import eventually


async def test_the_past_is_read_only_after_the_interest_is_acknowledged(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start_node(interest_ack_ms=60_000)
    node.dispatcher.acknowledges_interest = False
    joining = asyncio.create_task(node.node.feeds.enter("v"))
    await eventually(lambda: node.dispatcher.interest == {"v": True})
    # Published before the node counted here: durable, and pushed to nobody.
    await node.store.append([comment(1)])
    assert not joining.done()
    node.dispatcher.cut()  # an ended stream acknowledges everything: after it history is read anyway
    room = await joining
    assert ids(room.feed.log.read(0, 1 << 20)) == [comment(1).id]


async def test_what_comes_while_history_is_read_is_appended_once(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start_node()
    await node.store.append([comment(1), comment(2)])
    reading, go_on = asyncio.Event(), asyncio.Event()
    seed = Past.seed

    async def slow_seed(*args: object) -> object:
        reading.set()
        await go_on.wait()
        return await seed(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(Past, "seed", slow_seed)
    joining = asyncio.create_task(node.node.feeds.enter("v"))
    await reading.wait()
    number = node.dispatcher.deliver([comment(2), comment(3)])
    await eventually(lambda: node.dispatcher.delivered == number)
    go_on.set()
    room = await joining
    assert ids(room.feed.log.read(0, 1 << 20)) == [comment(n).id for n in (1, 2, 3)]


async def test_many_joiners_read_the_past_once(start_node: StartNode, monkeypatch: pytest.MonkeyPatch) -> None:
    node = await start_node()
    reads = 0
    seed = Past.seed

    async def counted(*args: object) -> object:
        nonlocal reads
        reads += 1
        return await seed(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(Past, "seed", counted)
    await asyncio.gather(*(node.node.feeds.enter("v") for _ in range(1_000)))
    assert reads == 1


async def test_a_video_is_dropped_a_while_after_its_last_viewer(start_node: StartNode) -> None:
    node = await start_node(feed_linger_ms=0)
    async with viewer(node.port, "/comments/v"):
        await eventually(lambda: node.dispatcher.interest == {"v": True})
    await eventually(lambda: node.dispatcher.interest == {"v": False})
    assert len(node.node.feeds) == 0
    node.dispatcher.deliver([comment(1)])
    await eventually(lambda: node.node.feeds.useless == 1)


async def test_the_numbers_of_viewers_are_told_with_the_beats(start_node: StartNode) -> None:
    node = await start_node()

    def told() -> dict[str, int]:
        return {video.video_id: video.viewers for beat in node.dispatcher.beats for video in beat.videos}

    async with viewer(node.port, "/comments/v"), viewer(node.port, "/comments/v"), viewer(node.port, "/comments/w"):
        await eventually(lambda: told() == {"v": 2, "w": 1} and node.dispatcher.beats[-1].load.viewers == 3)
    await eventually(lambda: told() == {"v": 0, "w": 0} and node.dispatcher.beats[-1].load.viewers == 0)
