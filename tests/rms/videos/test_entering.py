"""rms/videos/entering.py: who comes back, or was too slow, gets what it lacks out of history."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from structlog.testing import capture_logs

from history.core.model import Comment
from history.store import StoreUnavailable
from proto import event_pb2
from rms.clocks import wall_ms
from rms.feed.editions import Form
from rms.feed.event import AUTHOR_PURGED, Event
from rms.feed.feed import Feed
from rms.feed.position import Position
from rms.videos.entering import Entering
from rms.videos.past import Past
from tests.rms.conftest import RunningNode, StartNode
from tests.rms.http.test_allowances import OTHER, STRANGER
from tests.rms.http.test_app import viewer
from tests.rms.parts import chained, comment, erasure, event, events, ids
from tests.waiting import eventually


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
        assert ids(await raw.read_until(290)) == [c.id for c in talk[10:]], "it has the one that it names"
        assert b"event: gap" not in raw.body


async def test_a_slow_viewer_catches_up_from_history(start_node: StartNode) -> None:
    node = await start_node(
        log_bytes_max=100_000, backfill_max=5, backfill=5, send_buffer_bytes=4096, resume_events_max=2_000
    )
    began_ms = wall_ms()
    talk = [comment(n % 64, began_ms + n // 64 * 10, message="x" * 400) for n in range(2_000)]
    async with viewer(node.port, "/comments/v", receive_buffer=4096) as raw:
        (video,) = node.node.served.videos
        for n in range(0, len(talk), 50):
            await node.store.append(talk[n : n + 50])
            number = node.dispatcher.deliver(talk[n : n + 50])
            await eventually(lambda number=number: node.dispatcher.delivered == number)  # type: ignore[misc]
        await eventually(lambda: node.node.sweeper.statistics().stalled == 1)
        (slow,) = video.audience(Form(), 5).viewers
        assert slow.offset < video.feed.log.base
        async with asyncio.timeout(20):
            while b"%016x" % talk[-1].id not in raw.body or not raw.body.endswith(b"\n\n"):
                raw.received += await raw.reader.read(65536)
    assert node.node.served.entering.falls[slow] >= 1
    assert ids(raw.body) == [c.id for c in talk]
    assert b"event: gap" not in raw.body


async def test_who_is_always_too_slow_is_closed_with_a_reason(start_node: StartNode) -> None:
    node = await start_node(log_bytes_max=10_000, backfill_max=5, backfill=5, send_buffer_bytes=4096, falls_max=0)
    talk = [comment(n, 1_700_000_000_000 + n * 10, message="x" * 400) for n in range(2_000)]
    async with viewer(node.port, "/comments/v", receive_buffer=4096) as raw:
        for n in range(0, len(talk), 50):
            number = node.dispatcher.deliver(talk[n : n + 50])
            await eventually(lambda number=number: node.dispatcher.delivered == number)  # type: ignore[misc]
        async with asyncio.timeout(20):
            await raw.read_to_end()
    assert node.node.sweeper.statistics().closes == {"too_slow": 1}
    assert raw.body.endswith(b'event: closed\ndata: {"reason":"too_slow"}\n\n')


async def test_a_fallen_viewer_waits_for_no_catch_up_and_no_longer_than_a_heartbeat(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start_node(catch_up_reads=1, heartbeat_ms=50, backfill=1, seed_events_max=1)
    before, now = comment(1 << 6, wall_ms() - 5_000), comment(1, wall_ms())  # of two services
    await node.store.append([before, now])
    served, reading = node.node.served, asyncio.Event()
    video = await served.enter("v")
    assert list(video.feed.ids) == [now.id]
    stood_at = b"%016x" % now.id  # it may lack what others published up to 10 s before, which is not in the log

    async def hanging(*args: object) -> object:
        reading.set()
        return await asyncio.Event().wait()

    monkeypatch.setattr(Past, "since", hanging)
    served.catch_up(now.id, live_waits=False)
    await reading.wait()
    placed = await asyncio.gather(*(served.entering.resume(video, stood_at) for _ in range(3)))
    assert [b'"reason":"history_unavailable"' in attach.private for attach in placed] == [True] * 3
    monkeypatch.undo()
    attach = await served.entering.resume(video, stood_at)
    assert (ids(attach.private), attach.offset) == ([before.id], video.feed.log.end)
    assert b"gap" not in attach.private
    served.release(video)


async def test_a_viewer_that_cannot_enter_again_is_closed_and_that_is_logged(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start_node()

    async def broken(*args: object) -> object:
        raise LookupError("says the test")

    monkeypatch.setattr(Entering, "resume", broken)
    async with viewer(node.port, "/comments/v") as raw:
        await eventually(lambda: len(node.node.sweeper) == 1)
        (video,) = node.node.served.videos
        ((fallen,),) = (audience.viewers for audience in video.audiences.values())
        node.node.sweeper.detach(fallen)
        with capture_logs() as lines:
            node.node.served.entering.fallen(video, fallen)
            async with asyncio.timeout(10):
                assert b'data: {"id"' not in await raw.reader.read()
            await eventually(lambda: bool(lines))
        (line,) = lines
        assert (line["task"], line["reason"]) == ("viewer entering again", "LookupError('says the test')")
        assert video.holds == 0


async def test_who_asks_for_more_than_the_feed_holds_gets_a_late_comment_once(start_node: StartNode) -> None:
    node = await start_node(backfill=2, log_bytes_max=1)
    served = node.node.served
    video = await served.enter("v")
    talk = [comment(n, wall_ms()) for n in range(4)]
    await node.store.append(talk)
    served.deliver("v", [event(talk[n]) for n in (0, 2, 3, 1)])
    assert list(video.feed.ids) == [talk[3].id, talk[1].id]
    history = await served.entering.history_for(video, None, 5)
    attach = served.entering.attach(video, None, 5, history)
    got = ids(attach.private + video.feed.log.read(attach.offset, 1 << 20))
    assert got == [talk[n].id for n in (0, 2, 3, 1)]
    served.release(video)


async def test_a_viewer_that_comes_back_while_history_is_away_gets_what_it_lacks_and_nothing_twice(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start_node(catch_up_retry_ms_max=10)
    served = node.node.served
    talk = [comment(n, wall_ms()) for n in range(6)]
    await node.store.append(talk[:4])

    async def away(*args: object) -> object:
        raise StoreUnavailable("away, says the test")

    with monkeypatch.context() as once:
        once.setattr(Past, "seed", away)
        once.setattr(Past, "since", away)
        async with (
            viewer(node.port, "/comments/v") as new,
            viewer(node.port, f"/comments/v?last_event_id={talk[1].id:016x}") as back,
        ):
            (video,) = served.videos
            assert video.lacks_past
            await node.store.append(talk[4:5])
            served.deliver("v", [event(talk[4], talk[3].id)])
            assert ids(await back.read_until(1)) == [talk[4].id]
            once.undo()
            assert ids(await back.read_until(3)) == [talk[n].id for n in (4, 2, 3)], "without those that it had"
            assert sorted(ids(await new.read_until(5))) == [each.id for each in talk[:5]]
            await eventually(lambda: not video.is_behind)
            served.deliver("v", [event(talk[5], talk[4].id)])
            assert ids(await back.read_until(4))[3:] == [talk[5].id]
            assert b"event: gap\n" not in back.body + new.body
            *_, last = [each["id"] for each in events(back.body) if "data" in each]
    again = comment(7, wall_ms())
    async with viewer(node.port, f"/comments/v?last_event_id={last}") as raw:
        served.deliver("v", [event(again, talk[5].id)])
        assert ids(await raw.read_until(1)) == [again.id]


async def test_a_backfill_read_before_an_erasure_has_nothing_of_what_is_erased(start_node: StartNode) -> None:
    node = await start_node(backfill=2, log_bytes_max=1)
    served = node.node.served
    video = await served.enter("v")
    talk = [comment(n, wall_ms()) for n in range(5)]
    await node.store.append(talk)
    served.deliver("v", [event(each) for each in talk])
    history = await served.entering.history_for(video, None, 5)
    assert len(history or ()) == 3
    purge = Event(comment(9, wall_ms()).id, b"{}", AUTHOR_PURGED, "author_purged", talk[0].id, "guest:ann")
    served.deliver("v", [erasure(comment(8, wall_ms()).id, talk[1].id), purge])
    attach = served.entering.attach(video, None, 5, history)
    got = ids(attach.private + video.feed.log.read(attach.offset, 1 << 20))
    assert got == [talk[2].id]
    served.release(video)


async def test_what_is_found_erased_for_one_who_comes_back_is_blank_in_every_form(start_node: StartNode) -> None:
    node = await start_node()
    talk = [comment(n, wall_ms(), message=f"words {n}") for n in range(3)]
    await node.store.append(talk)
    async with viewer(node.port, "/comments/v") as raw:
        await raw.read_until(3)
        (video,) = node.node.served.videos
        limited = video.audience(Form(5), 5).edition
        read = [event(each) for each in talk[1:]]
        position = Position(talk[0].id + 1)
        node.node.served.entering.attach(video, position, 0, [*read, erasure(talk[2].id + 1, talk[1].id, talk[2].id)])
        assert b"words 1" not in limited.log.read(limited.log.base, 1 << 20)
        assert b"words 2" in limited.log.read(limited.log.base, 1 << 20)


@pytest.mark.parametrize("query", ["", "?backfill=0", "?max_rate=100", "?backfill=0&max_rate=100"])
async def test_a_viewer_that_is_cut_before_the_first_comment_misses_nothing(start_node: StartNode, query: str) -> None:
    node = await start_node()
    began_ms = wall_ms()
    if "backfill" in query:
        await node.store.append([comment(n, began_ms - 3_600_000) for n in range(3)])
    async with viewer(node.port, f"/comments/v{query}") as raw:
        await raw.read_until(b"id: ")
        await raw.read_until(b"\n\n")
        (first,) = [event for event in events(raw.body) if "id" in event]
        assert (first["event"], first["data"]) == ("viewers", '{"viewers":1}'), "an event that clients know"
    missed = [comment(n, wall_ms()) for n in range(60)]
    await node.store.append(missed)
    node.dispatcher.deliver(missed)
    joint = "&" if query else "?"
    async with viewer(node.port, f"/comments/v{query}{joint}last_event_id={first['id']}") as raw:
        assert ids(await raw.read_until(60)) == [each.id for each in missed]
        assert b"event: gap" not in raw.body


def positions_after(talk: list[Comment], node: RunningNode) -> list[str]:
    """Of a viewer of another node, behind each of these comments"""
    feed = Feed(node.node.settings.feed_limits(), [], 0, wall_ms())
    positions = []
    for each in chained(talk):
        feed.append(each, wall_ms())
        positions.append(feed.had.text().decode())
    return positions


def deliver(node: RunningNode, talk: list[Comment], first: int, stop: int) -> None:
    said = [event_pb2.Event(id=each.id, data=each.data, after_id=each.after_id) for each in chained(talk)[first:stop]]
    node.dispatcher.deliver_events(*(("v", each) for each in said))


async def test_viewers_ahead_of_a_feed_wait_where_there_is_no_room_for_their_claims(start_node: StartNode) -> None:
    """They come from a drained node, each some events further than what this one has got until now."""
    node = await start_node(claims_max=1, claims_wait_ms=60_000)
    began_ms = wall_ms()
    talk = [comment(n, began_ms + n) for n in range(6)]
    positions = positions_after(talk, node)
    async with viewer(node.port, "/comments/v"), AsyncExitStack() as stack:
        deliver(node, talk, 0, 1)
        (video,) = node.node.served.videos
        await eventually(lambda: len(video.feed) == 1)
        paths = [f"/comments/v?backfill=0&last_event_id={position}" for position in positions[1:4]]
        coming = [asyncio.create_task(stack.enter_async_context(viewer(node.port, path))) for path in paths]
        await eventually(lambda: len(node.node.viewers) == 4 and sum(task.done() for task in coming) == 1)
        deliver(node, talk, 1, 5)
        viewers = [await task for task in coming]
        deliver(node, talk, 5, 6)
        for number, raw in enumerate(viewers, start=2):
            assert ids(await raw.read_until(6 - number)) == [each.id for each in talk[number:]]
            assert b"event: gap" not in raw.body


async def test_who_waits_in_vain_for_room_is_told_a_gap(start_node: StartNode) -> None:
    node = await start_node(claims_max=0, claims_wait_ms=1)
    position = positions_after([comment(n, wall_ms() + n) for n in range(2)], node)[1]
    async with viewer(node.port, "/comments/v"), viewer(node.port, f"/comments/v?last_event_id={position}") as raw:
        await raw.read_until(b"too_far_behind")


def made_up(number: int, ahead_ms: int) -> str:
    """A position behind an event that nobody has published, of a service of its own"""
    return f"{comment(number << 6, wall_ms() + ahead_ms).id:016x}"


@pytest.mark.parametrize("ahead_ms", [0, 3_600_000])
async def test_positions_that_an_address_makes_up_take_nobody_s_room(start_node: StartNode, ahead_ms: int) -> None:
    node = await start_node(trusted_proxies="127.0.0.0/8", claims_wait_ms=600_000)
    async with viewer(node.port, "/comments/v"), AsyncExitStack() as stack:
        coming = []
        for number in range(1, 9):
            path = f"/comments/v?last_event_id={made_up(number, ahead_ms)}"
            coming.append(asyncio.create_task(stack.enter_async_context(viewer(node.port, path, STRANGER))))
        enter = 8 if ahead_ms else 2
        await eventually(lambda: len(node.node.viewers) == 9 and sum(task.done() for task in coming) == enter)
        position = positions_after([comment(n, wall_ms() + n) for n in range(2)], node)[1]
        path = f"/comments/v?last_event_id={position}"
        async with viewer(node.port, path, OTHER) as honest:
            new = comment(99, wall_ms() + 1_000)
            node.dispatcher.deliver([new])
            assert ids(await honest.read_until(1)) == [new.id]
            assert b"event: gap" not in honest.body
        for task in coming:
            task.cancel()
        await asyncio.gather(*coming, return_exceptions=True)


async def test_a_position_that_can_t_be_true_yet_is_told_a_gap_and_nothing_is_read(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start_node(clock_off_ms_max=5_000)

    async def never(*args: object) -> object:
        raise AssertionError("says the test")

    async with viewer(node.port, "/comments/v"):
        monkeypatch.setattr(Past, "since", never)
        async with viewer(node.port, f"/comments/v?last_event_id={made_up(1, 60_000)}") as raw:
            await raw.read_until(b'"reason":"unknown_position"')
        (video,) = node.node.served.videos
        assert not any(form.claims for form in video.audiences)


async def test_a_position_is_true_where_a_service_s_clock_is_ahead(start_node: StartNode) -> None:
    node = await start_node()
    talk = [comment(n, wall_ms() + 3_600_000 + n) for n in range(4)]
    positions = positions_after(talk, node)
    async with viewer(node.port, "/comments/v") as first:
        deliver(node, talk, 0, 2)
        await first.read_until(2)
        async with viewer(node.port, f"/comments/v?last_event_id={positions[2]}") as ahead:
            deliver(node, talk, 2, 4)
            assert ids(await ahead.read_until(1)) == [talk[3].id]
            assert b"event: gap" not in ahead.body


async def test_viewers_of_one_address_at_the_same_position_share_its_room(start_node: StartNode) -> None:
    node = await start_node(trusted_proxies="127.0.0.0/8", claims_per_address_max=1, claims_wait_ms=600_000)
    talk = [comment(n, wall_ms() + n) for n in range(3)]
    position = positions_after(talk, node)[1]
    async with viewer(node.port, "/comments/v"), AsyncExitStack() as stack:
        path = f"/comments/v?last_event_id={position}"
        home = [await stack.enter_async_context(viewer(node.port, path, STRANGER)) for _ in range(3)]
        deliver(node, talk, 0, 3)
        for raw in home:
            assert ids(await raw.read_until(1)) == [talk[2].id]
            assert b"event: gap" not in raw.body


async def test_who_enters_again_is_counted_by_its_address(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start_node(trusted_proxies="127.0.0.0/8")
    keys: list[object] = []

    async def noting(self: Entering, video: object, stood_at: object, key: str | None = None) -> object:
        keys.append(key)
        raise LookupError("says the test")

    monkeypatch.setattr(Entering, "resume", noting)
    async with viewer(node.port, "/comments/v", STRANGER):
        await eventually(lambda: len(node.node.sweeper) == 1)
        (video,) = node.node.served.videos
        ((fallen,),) = (audience.viewers for audience in video.audiences.values())
        node.node.sweeper.detach(fallen)
        node.node.served.entering.fallen(video, fallen)
        await eventually(lambda: keys == ["9.9.9.9"])
        monkeypatch.undo()
        forged = [made_up(number, 0).encode() for number in range(1, 4)]
        placed = []
        for each in forged:
            attach = await node.node.served.entering.resume(video, each, "k")
            if attach.claims is not None:
                video.audience(Form(claims=attach.claims), 5).waiters.add(asyncio.Event())
            placed.append(attach.claims is not None)
        assert placed == [True, True, False]


async def test_what_the_log_drops_while_a_new_viewer_s_past_is_read_is_read_as_well(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, older = await start_node(backfill=1, seed_events_max=1, log_age_ms_max=60_000), Past.older
    talk = [comment(n, wall_ms() - 5_000 + n * 10) for n in range(6)]
    await node.store.append(talk[:3])

    async def slow(past: Past, *args: object) -> object:
        read = await older(past, *args)  # type: ignore[arg-type]
        next(iter(node.node.served.videos)).feed.trim(wall_ms() + 120_000)
        return read

    async with viewer(node.port, "/comments/v"):
        await node.store.append(talk[3:])
        node.node.served.deliver("v", [event(each) for each in talk[3:]])
        monkeypatch.setattr(Past, "older", slow)
        async with viewer(node.port, "/comments/v?backfill=5") as raw:
            assert ids(await raw.read_until(5)) == [each.id for each in talk[1:]]
