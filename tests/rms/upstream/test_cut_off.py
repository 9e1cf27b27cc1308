"""rms/upstream/replicas.py: what goes by a node that some or all replicas don't reach, its viewers get from history"""

from typing import cast
from unittest.mock import AsyncMock

import pytest

from history.core.model import ERASED, Change
from history.store import History, StoreUnavailable
from rms.clocks import monotonic_ms, wall_ms
from rms.feed.position import LATE_MS, SURE_STEP_MS, parse_position
from rms.upstream.link import Link
from tests.rms.conftest import StartNode
from tests.rms.fake_dispatcher import fake_dispatcher
from tests.rms.http.test_app import viewer
from tests.rms.parts import comment, events, ids
from tests.waiting import eventually


async def test_what_goes_through_a_replica_that_cannot_be_reached_is_read(start_node: StartNode) -> None:
    """It may be alive, and serve others: this node's viewers must not miss what is published there."""
    async with fake_dispatcher() as one, fake_dispatcher() as two:
        node = await start_node(dispatchers=f"{one.address},{two.address}", wait=False)
        await eventually(lambda: one.connected and two.connected)
        async with viewer(node.port, "/comments/v") as raw:
            one.refuses = True
            one.cut()
            await eventually(lambda: node.node.upstream.connected == 1)
            for n in range(3):  # published through `one`, so delivered to nobody here
                await node.store.append([comment(n, wall_ms())])
                await raw.read_until(n + 1)
            assert len(ids(raw.body)) == len(set(ids(raw.body))) == 3


async def test_while_no_replica_is_connected_viewers_get_what_history_has(start_node: StartNode) -> None:
    node = await start_node()
    async with viewer(node.port, "/comments/v") as raw:
        node.dispatcher.refuses = True
        node.dispatcher.cut()
        await eventually(lambda: node.node.upstream.connected == 0)
        for n in range(2):
            await node.store.append([comment(n, wall_ms())])
            await raw.read_until(n + 1)
        assert len(ids(raw.body)) == len(set(ids(raw.body))) == 2


async def test_what_goes_through_a_replica_that_was_never_reached_is_read(start_node: StartNode) -> None:
    """It may be there for all but this node, behind a firewall or with another certificate."""
    async with fake_dispatcher() as one, fake_dispatcher() as two:
        one.refuses = True
        node = await start_node(dispatchers=f"{one.address},{two.address}", wait=False)
        await eventually(lambda: two.connected)
        async with viewer(node.port, "/comments/v") as raw:
            for n in range(2):  # published through `one`, so delivered to nobody here
                await node.store.append([comment(n, wall_ms())])
                await raw.read_until(n + 1)
            assert len(ids(raw.body)) == len(set(ids(raw.body))) == 2


async def test_while_a_replica_is_away_positions_say_until_when_this_node_is_sure(start_node: StartNode) -> None:
    """What went by it must be looked for wherever its viewers go; what is read from history need not."""
    async with fake_dispatcher() as one, fake_dispatcher() as two:
        node = await start_node(dispatchers=f"{one.address},{two.address}", wait=False, partial_read_ms_max=100)
        await eventually(lambda: one.connected and two.connected)
        async with viewer(node.port, "/comments/v") as raw:
            (video,) = node.node.served.videos
            two.refuses = True
            two.cut()
            await eventually(lambda: video.feed.had.sure_ms is not None)
            first_ms = video.feed.had.sure_ms
            assert first_ms is not None
            assert first_ms <= wall_ms() - LATE_MS
            one.deliver([comment(1, wall_ms())])
            position = parse_position(next(e["id"] for e in events(await raw.read_until(1)) if "event" not in e))
            assert position.sure_ms is not None
            latest_ms = video.feed.had.sure_ms  # history may have been read since
            assert first_ms - SURE_STEP_MS < position.sure_ms <= (latest_ms or 0)
            async with viewer(node.port, "/comments/w"):
                later = next(each for each in node.node.served.videos if each.video_id == "w")
                assert later.feed.had.sure_ms is not None, "what opens now misses something, too"
            await eventually(lambda: (video.feed.had.sure_ms or 0) > first_ms)  # as history is read now and then
            two.refuses = False
            await eventually(lambda: video.feed.had.sure_ms is None)


async def test_who_has_missed_something_is_sure_again_once_it_has_read_it(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fake_dispatcher() as one:
        node = await start_node(dispatchers=one.address, wait=False)
        await eventually(lambda: one.connected)
        async with viewer(node.port, "/comments/v"):
            (video,) = node.node.served.videos
            away = StoreUnavailable("stopped by the test")
            with monkeypatch.context() as store:
                store.setattr(node.node.past, "since", AsyncMock(side_effect=away))
                missed = comment(1, wall_ms() - 30_000)
                one.catch_up_from_id = missed.id
                one.cut()
                await eventually(lambda: video.feed.had.sure_ms == missed.created_at_ms)
                beats = len(one.beats)
                await eventually(lambda: len(one.beats) > beats + 2)
                assert video.feed.had.sure_ms == missed.created_at_ms, "the store is away"
            await eventually(lambda: video.feed.had.sure_ms is None)


async def test_who_comes_to_a_node_that_is_cut_off_is_not_sent_what_was_erased_meanwhile(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start_node()
    talk = [comment(n, wall_ms(), message=f"words {n}") for n in range(3)]
    await node.store.append(talk)
    async with viewer(node.port, "/comments/v") as there:
        assert ids(await there.read_until(3)) == [each.id for each in talk]
        node.dispatcher.refuses = True
        node.dispatcher.cut()
        await eventually(lambda: node.node.upstream.missed_from() is not None)
        erased = Change(comment(8, wall_ms()).id, "v", ERASED, talk[1].id)
        await cast(History, node.store).apply([erased])
        async with viewer(node.port, "/comments/v") as newcomer:
            assert ids(await newcomer.read_until(2)) == [talk[0].id, talk[2].id]
            assert b"words 1" not in newcomer.body
        await there.read_until(b"event: deleted")
        with monkeypatch.context() as store:
            away = StoreUnavailable("stopped by the test")
            store.setattr(node.node.past, "since", AsyncMock(side_effect=away))
            async with viewer(node.port, "/comments/v") as newcomer:
                assert ids(await newcomer.read_until(2)) == [talk[0].id, talk[2].id]


async def test_what_was_sent_while_a_process_stood_still_is_old(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the replica had sent it, given the node up, and then sent an erasure to others."""
    node = await start_node()
    async with viewer(node.port, "/comments/v") as raw:
        monkeypatch.setattr(Link, "beat", lambda link, beat: None)
        monkeypatch.setattr("rms.upstream.link.monotonic_ms", lambda: monotonic_ms() + node.dispatcher.lease_ms + 1)
        assert node.node.upstream.missed_from() is not None
        node.dispatcher.deliver([comment(1, wall_ms())])
        await eventually(lambda: len(node.dispatcher.hellos) == 2 and node.node.upstream.connected == 1)
        assert node.node.upstream.missed_from() is None
        new = comment(2, wall_ms())
        node.dispatcher.deliver([new])
        assert ids(await raw.read_until(1)) == [new.id]


async def test_who_comes_before_the_first_replica_is_found_leaves_no_doubt_behind(start_node: StartNode) -> None:
    """Positions that said for ever that something was missing would make every viewer read ever more of history."""
    async with fake_dispatcher() as one:
        one.welcomes = False
        node = await start_node(dispatchers=one.address, wait=False)
        async with viewer(node.port, "/comments/v"):
            (video,) = node.node.served.videos
            await eventually(lambda: video.viewers == 1)
            assert video.sure_ms is not None
            one.welcomes = True
            await eventually(lambda: one.connected)
            await eventually(lambda: len(one.beats) > 3)
            assert video.sure_ms is None
            assert video.feed.had.sure_ms is None


async def test_who_comes_when_the_last_replica_is_lost_misses_nothing_of_those_lost_before(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fake_dispatcher() as one, fake_dispatcher() as two:
        node = await start_node(dispatchers=f"{one.address},{two.address}", wait=False)
        await eventually(lambda: one.connected and two.connected)
        async with viewer(node.port, "/comments/v"):
            (video,) = node.node.served.videos
            two.refuses = True
            two.cut()
            await eventually(lambda: video.feed.had.sure_ms is not None)
            went_by = comment(1, wall_ms() - 60_000)
            # As if `two` had been away for a minute, and the next read because of it were due later.
            monkeypatch.setattr(node.node.upstream, "_read_since", lambda ms_ago: None)
            video.set_sure(went_by.created_at_ms)
            await node.store.append([went_by])
            one.refuses = True
            one.cut()
            await eventually(lambda: node.node.upstream.missed_from() is not None)
            async with viewer(node.port, "/comments/v") as newcomer:
                assert ids(await newcomer.read_until(1)) == [went_by.id]
