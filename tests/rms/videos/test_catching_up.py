"""rms/videos/catching_up.py: what was missed is read, however often and for however long it is missing."""

import asyncio

import pytest
from structlog.testing import capture_logs

from history.store import StoreUnavailable
from rms.clocks import wall_ms
from rms.videos.catching_up import CatchingUp
from rms.videos.past import Past
from rms.videos.video import State
from tests.rms.conftest import StartNode
from tests.rms.http.test_app import viewer
from tests.rms.parts import comment, event, ids
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


async def test_a_video_catches_up_once_however_often_it_is_told(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start_node(catch_up_retry_ms_max=10)
    served, since, tries = node.node.served, Past.since, 0

    async def away(*args: object) -> object:
        nonlocal tries
        tries += 1
        raise StoreUnavailable("away, says the test")

    async with viewer(node.port, "/comments/v") as raw, viewer(node.port, "/comments/w"):
        monkeypatch.setattr(Past, "since", away)
        talk = [comment(n, wall_ms()) for n in range(1_200)]
        await node.store.append(talk)
        for late in (talk[700], talk[0], talk[900]):
            served.catch_up(late.id, live_waits=False)
            before = tries
            await eventually(lambda before=before: tries > before + 2)  # type: ignore[misc]
        assert len(served.catching_up) == 2
        monkeypatch.setattr(Past, "since", since)
        assert ids(await raw.read_until(1_200)) == [each.id for each in talk]
        await eventually(lambda: not len(served.catching_up))
        assert not any(video.is_behind for video in served.videos)


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
        node.node.served.catch_up(first.id, live_waits=False)
        await reading.wait()
        await node.store.append([second])
        node.node.served.catch_up(second.id, live_waits=False)
        go_on.set()
        assert ids(await raw.read_until(2)) == [first.id, second.id]


async def test_nobody_who_comes_waits_for_a_read_that_has_failed(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start_node(catch_up_hold_ms=600_000)
    served = node.node.served
    monkeypatch.setattr(CatchingUp, "_pause_s", lambda self, failures: 600.0)

    async def broken(*args: object) -> object:
        raise ValueError("says the test")

    async with viewer(node.port, "/comments/v"):
        (video,) = served.videos
        monkeypatch.setattr(Past, "since", broken)
        with capture_logs() as lines:
            served.catch_up(comment(1, wall_ms()).id, live_waits=False)
            await eventually(lambda: any(line["event"] == "catch-up failed" for line in lines))
        async with asyncio.timeout(10):
            await served.catching_up.look(video)


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
        node.node.served.catch_up(old.id, live_waits=False)
        assert ids(await raw.read_until(1)) == [new.id]
        assert (fails, raw.body.count(b"event: gap\n")) == (3, 1)


class SlowPast:
    """History that answers when the test wants it to"""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reading, self.go_on = asyncio.Event(), asyncio.Event()
        since = Past.since

        async def slow(*args: object) -> object:
            self.reading.set()
            await self.go_on.wait()
            return await since(*args)  # type: ignore[arg-type]

        monkeypatch.setattr(Past, "since", slow)


async def test_what_comes_while_a_node_catches_up_goes_behind_what_it_missed(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start_node(catch_up_hold_ms=60_000)
    async with viewer(node.port, "/comments/v") as raw:
        past = SlowPast(monkeypatch)
        missed = [comment(n, wall_ms()) for n in range(1_200)]
        await node.store.append(missed)
        node.dispatcher.catch_up(missed[0].id)
        live = [comment(n, wall_ms() + 1) for n in (1, 2)]
        number = node.dispatcher.deliver(live)
        await past.reading.wait()
        await eventually(lambda: node.dispatcher.delivered == number)
        past.go_on.set()
        assert ids(await raw.read_until(1_202)) == [each.id for each in (*missed, *live)]
        then = comment(3, wall_ms() + 1)
        node.dispatcher.deliver([then])
        assert ids(await raw.read_until(1_203))[-1] == then.id


async def test_it_does_not_wait_for_long(start_node: StartNode, monkeypatch: pytest.MonkeyPatch) -> None:
    node = await start_node(catch_up_hold_ms=50)
    async with viewer(node.port, "/comments/v") as raw:
        past = SlowPast(monkeypatch)
        missed, live = comment(1, wall_ms()), comment(2, wall_ms())
        await node.store.append([missed])
        node.dispatcher.catch_up(missed.id)
        node.dispatcher.deliver([live])
        assert ids(await raw.read_until(1)) == [live.id]
        past.go_on.set()
        assert ids(await raw.read_until(2)) == [live.id, missed.id]


async def test_it_does_not_wait_for_a_store_that_is_away(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start_node(catch_up_hold_ms=60_000, catch_up_retry_ms_max=10)

    async def away(*args: object) -> object:
        raise StoreUnavailable("away, says the test")

    async with viewer(node.port, "/comments/v") as raw:
        monkeypatch.setattr(Past, "since", away)
        node.dispatcher.catch_up(comment(1, wall_ms()).id)
        live = comment(2, wall_ms())
        node.dispatcher.deliver([live])
        assert ids(await raw.read_until(1)) == [live.id]


async def test_nothing_waits_while_a_lost_replicas_comments_are_looked_for(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is done again and again, for as long as the replica is away."""
    node = await start_node(catch_up_hold_ms=60_000)
    async with viewer(node.port, "/comments/v") as raw:
        past = SlowPast(monkeypatch)
        node.node.served.catch_up(comment(1, wall_ms()).id, live_waits=False)
        await past.reading.wait()
        live = comment(2, wall_ms())
        node.dispatcher.deliver([live])
        assert ids(await raw.read_until(1)) == [live.id]
        past.go_on.set()


async def test_what_does_not_fit_while_it_waits_is_read(start_node: StartNode, monkeypatch: pytest.MonkeyPatch) -> None:
    node = await start_node(catch_up_hold_ms=60_000, opening_comments_max=2)
    async with viewer(node.port, "/comments/v") as raw:
        past = SlowPast(monkeypatch)
        talk = [comment(n, wall_ms()) for n in range(9)]
        await node.store.append(talk)
        node.dispatcher.catch_up(talk[8].id)
        number = node.dispatcher.deliver(talk[:5])
        await past.reading.wait()
        await eventually(lambda: node.dispatcher.delivered == number)
        past.go_on.set()
        assert sorted(ids(await raw.read_until(9))) == [each.id for each in talk]


async def test_a_catch_up_that_fails_is_logged_and_goes_on_and_stops_no_other(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start_node()
    since, broken = Past.since, True

    async def broken_for_v(past: Past, video_id: str, from_id: int, limit: int) -> object:
        if broken and video_id == "v":
            raise LookupError("says the test")
        return await since(past, video_id, from_id, limit)

    monkeypatch.setattr(Past, "since", broken_for_v)
    async with viewer(node.port, "/comments/v") as v, viewer(node.port, "/comments/w") as w:
        missed = {video_id: comment(1, wall_ms(), video_id) for video_id in "vw"}
        await node.store.append(list(missed.values()))
        with capture_logs() as lines:
            node.node.served.catch_up(missed["v"].id, live_waits=True)
            assert ids(await w.read_until(1)) == [missed["w"].id]
            await eventually(lambda: bool(lines))
            live = comment(2, wall_ms())
            node.dispatcher.deliver([live])
            assert ids(await v.read_until(1)) == [live.id], "it doesn't wait"
            broken = False
            assert ids(await v.read_until(2)) == [live.id, missed["v"].id]
        assert {(line["video"], line["reason"]) for line in lines} == {("v", "LookupError('says the test')")}
        await eventually(lambda: not len(node.node.served.catching_up))


async def test_thousands_of_videos_catch_up_with_a_few_reads_at_a_time_and_an_error_in_one_stops_no_other(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start_node(catch_up_reads=4, catch_up_retry_ms_max=1)
    served, names = node.node.served, [f"v{number}" for number in range(5_000)]
    for first in range(0, len(names), 500):
        for video in await asyncio.gather(*(served.enter(name) for name in names[first : first + 500])):
            video.missed_from = None
    reads = most = tasks = 0
    broken, read = True, set()

    async def counted(past: Past, video_id: str, from_id: int, limit: int) -> list[object]:
        nonlocal reads, most, tasks
        reads += 1
        most, tasks = max(most, reads), max(tasks, len(node.node.tasks))
        await asyncio.sleep(0)
        reads -= 1
        if broken and video_id == names[7]:
            raise LookupError("says the test")
        read.add(video_id)
        return []

    monkeypatch.setattr(Past, "since", counted)
    before = len(node.node.tasks)
    with capture_logs() as lines:
        served.catch_up(comment(1, wall_ms()).id, live_waits=True)
        await eventually(lambda: len(served.catching_up) == 1 and bool(lines))
        assert (most, read) == (4, {*names} - {names[7]})
        assert tasks <= before + 4 + 1, "a few workers, and the one that waits"
        broken = False
        await eventually(lambda: not len(served.catching_up))
    assert {line["video"] for line in lines} == {names[7]}
    assert read == {*names}
    assert not any(video.is_behind for video in served.videos)


async def test_a_catch_up_of_thousands_lets_the_loop_go_on(start_node: StartNode) -> None:
    node = await start_node()
    served = node.node.served
    videos = [await served.enter(f"v{number}") for number in range(30)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rms.videos.served.CATCH_UPS_AT_ONCE", 10)
        for lower in (2, 1):
            served.catch_up(comment(lower).id, live_waits=False)
        assert len(served.catching_up) == 10
        await asyncio.sleep(0)
        assert len(served.catching_up) == 20
    await eventually(lambda: not len(served.catching_up) and not served._missing)
    assert not any(video.is_behind for video in videos)


async def test_all_holds_end_in_their_order_by_one_timer(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rms.videos.catching_up.FLUSHED_AT_ONCE", 2)
    node = await start_node(catch_up_hold_ms=50)
    past = SlowPast(monkeypatch)
    served = node.node.served
    videos = [await served.enter(f"v{number}") for number in range(7)]
    served.catch_up(comment(1, wall_ms()).id, live_waits=True)
    assert {video.state for video in videos} == {State.BUFFERING}
    await eventually(lambda: {video.state for video in videos} == {State.LIVE})
    served.catch_up(comment(1, wall_ms()).id, live_waits=True)
    assert {video.state for video in videos} == {State.BUFFERING}
    await eventually(lambda: {video.state for video in videos} == {State.LIVE})
    past.go_on.set()
    await eventually(lambda: not len(served.catching_up))


async def test_who_looks_waits_for_nobody_who_comes_later(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else nobody would get what went by, for as long as others come."""
    node = await start_node(catch_up_hold_ms=3_600_000)
    talk = [comment(n, wall_ms()) for n in range(600)]  # more than one page
    await node.store.append(talk)
    reads, turns, since = [], asyncio.Semaphore(0), Past.since
    async with viewer(node.port, "/comments/v"):
        (video,) = node.node.served.videos

        async def slow(past: Past, video_id: str, from_id: int, limit: int) -> object:
            reads.append(from_id)
            await turns.acquire()
            return await since(past, video_id, from_id, limit)

        monkeypatch.setattr(Past, "since", slow)
        looks = []
        for read in (1, 2, 3):
            video.miss(talk[0].id)
            looks.append(asyncio.create_task(node.node.served.catching_up.look(video)))
            await eventually(lambda read=read: len(reads) == read)  # type: ignore[misc]
            turns.release()
        await eventually(lambda: [look.done() for look in looks] == [True, False, False])
        for _ in range(3):
            turns.release()
        await asyncio.gather(*looks)
        assert not video.is_behind


async def test_a_hole_in_a_services_chain_is_filled_from_history(start_node: StartNode) -> None:
    node = await start_node()
    async with viewer(node.port, "/comments/v") as raw:
        talk = [comment(n, wall_ms()) for n in range(4)]
        (video,) = node.node.served.videos
        deliver = node.node.served.deliver
        deliver("v", [event(talk[0])])
        await node.store.append(talk)
        deliver("v", [event(talk[3], talk[2].id)])
        assert video.is_behind
        assert video.feed.had.services_with_holes == [0]
        assert ids(await raw.read_until(4)) == [talk[n].id for n in (0, 3, 1, 2)]
        await eventually(lambda: not video.is_behind and not len(node.node.served.catching_up))
        assert video.feed.had.services_with_holes == []
        before = node.node.statistics().history_reads
        deliver("v", [event(comment(4, wall_ms()), talk[3].id)])
        assert not video.is_behind, "the chain has no hole now"
        await raw.read_until(5)
        assert node.node.statistics().history_reads == before


async def test_who_came_without_the_past_is_not_sent_what_is_older_than_it(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start_node(catch_up_retry_ms_max=10, backfill=5, seed_events_max=20)
    served, now_ms = node.node.served, wall_ms()
    talk = [comment(0, now_ms - 300_000 + n * 3_000) for n in range(100)]
    live = [comment(n + 1, now_ms) for n in range(3)]
    await node.store.append([*talk, live[0]])

    async def away(*args: object) -> object:
        raise StoreUnavailable("away, says the test")

    async with viewer(node.port, "/comments/w"):
        with monkeypatch.context() as once:
            once.setattr(Past, "seed", away)
            async with viewer(node.port, "/comments/v") as raw:
                (video,) = (each for each in served.videos if each.video_id == "v")
                served.deliver("v", [event(live[0], talk[-1].id)])
                await raw.read_until(1)
                async with viewer(node.port, f"/comments/v?last_event_id={talk[3].id:016x}") as back:
                    assert b'"reason":"history_unavailable"' in await back.read_until(1)
                once.undo()
                await eventually(lambda: not video.is_behind)
                assert not video.feed.had.services_with_holes
                served.deliver("v", [event(live[1], live[0].id)])
                assert sorted(ids(await raw.read_until(21))) == [each.id for each in (*talk[-19:], *live[:2])]
                path = f"/comments/v?last_event_id={talk[50].id:016x}"
                async with viewer(node.port, path) as back:  # what it lacks goes to it alone
                    assert len(ids(await back.read_until(51))) == 51
                    served.deliver("v", [event(live[2], live[1].id)])
                assert ids(await raw.read_until(22))[21:] == [live[2].id]
