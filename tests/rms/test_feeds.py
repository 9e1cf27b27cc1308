"""rms/feeds.py: opening and dropping, and that nothing falls between history and the live stream."""

import asyncio

import pytest

from history.store import StoreUnavailable
from rms.past import Past
from rms.position import Position
from rms.rooms import wall_ms
from tests.rms.conftest import StartNode
from tests.rms.parts import comment, events, ids
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


async def test_resuming_without_history_is_told_as_a_gap(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start_node()
    await node.store.append([comment(n, 1_700_000_000_000 + n * 60_000) for n in range(300)])

    async def away(*args: object) -> object:
        raise StoreUnavailable("away, says the test")

    monkeypatch.setattr(Past, "since", away)
    async with viewer(node.port, f"/comments/v?last_event_id={comment(3).id:016x}") as raw:
        first = next(events(await raw.read_until(50)))
        assert first["event"] == "gap"
        assert '"reason":"history_unavailable"' in first["data"]


async def test_a_viewer_far_back_is_served_from_history(start_node: StartNode) -> None:
    node = await start_node()
    talk = [comment(n, 1_700_000_000_000 + n * 60_000) for n in range(300)]
    await node.store.append(talk)
    async with viewer(node.port, f"/comments/v?last_event_id={talk[9].id:016x}") as raw:
        assert ids(await raw.read_until(291)) == [c.id for c in talk[9:]]


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


async def test_a_slow_viewer_catches_up_from_history(start_node: StartNode) -> None:
    node = await start_node(log_bytes_max=10_000, backfill_max=5, backfill=5, send_buffer_bytes=4096)
    talk = [comment(n, 1_700_000_000_000 + n * 10, message="x" * 400) for n in range(2_000)]
    async with viewer(node.port, "/comments/v", receive_buffer=4096) as raw:
        for n in range(0, len(talk), 50):
            await node.store.append(talk[n : n + 50])
            number = node.dispatcher.deliver(talk[n : n + 50])
            await eventually(lambda number=number: node.dispatcher.delivered == number)  # type: ignore[misc]
        await eventually(lambda: node.node.sweeper.statistics().stalled == 1)
        async with asyncio.timeout(20):
            while b"%016x" % talk[-1].id not in raw.body:
                raw.body += await raw.reader.read(65536)
    gaps = [event for event in events(raw.body) if event.get("event") == "gap"]
    got = ids(raw.body)
    assert len(got) == len(set(got))
    assert gaps or got == [c.id for c in talk]


async def test_who_is_always_too_slow_is_closed_with_a_reason(start_node: StartNode) -> None:
    node = await start_node(log_bytes_max=10_000, backfill_max=5, backfill=5, send_buffer_bytes=4096, falls_max=0)
    talk = [comment(n, 1_700_000_000_000 + n * 10, message="x" * 400) for n in range(2_000)]
    async with viewer(node.port, "/comments/v", receive_buffer=4096) as raw:
        for n in range(0, len(talk), 50):
            number = node.dispatcher.deliver(talk[n : n + 50])
            await eventually(lambda number=number: node.dispatcher.delivered == number)  # type: ignore[misc]
        async with asyncio.timeout(20):
            raw.body += await raw.reader.read()
    assert node.node.sweeper.statistics().closes == {"too_slow": 1}
    assert raw.body.endswith(b'event: closed\ndata: {"reason":"too_slow"}\n\n')


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
        assert len(feeds._tasks) == 2
        monkeypatch.setattr(Past, "since", since)
        assert ids(await raw.read_until(1_200)) == [each.id for each in talk]
        await eventually(lambda: not feeds._tasks)
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


async def test_a_fallen_viewer_waits_for_no_catch_up_and_no_longer_than_a_heartbeat(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start_node(catch_up_reads=1, heartbeat_ms=50)
    feeds, reading = node.node.feeds, asyncio.Event()
    room = await feeds.enter("v")
    now = comment(1, wall_ms())
    for each in (comment(0), now):
        feeds.deliver([each])

    async def hanging(*args: object) -> object:
        reading.set()
        return await asyncio.Event().wait()

    monkeypatch.setattr(Past, "since", hanging)
    feeds.catch_up(now.id)
    await reading.wait()
    placed = await asyncio.gather(*(feeds.resume(room, Position(now.id, 0, 0)) for _ in range(3)))
    assert [b'"reason":"history_unavailable"' in attach.private for attach in placed] == [True] * 3
    monkeypatch.undo()
    assert b"gap" not in (await feeds.resume(room, Position(now.id, 0, 0))).private
    feeds.let_go(room)


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
