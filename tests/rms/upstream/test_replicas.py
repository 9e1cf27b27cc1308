"""rms/upstream/replicas.py: all replicas are told, and none is waited for that isn't there"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, cast
from unittest.mock import AsyncMock

import grpc
import pytest
from structlog.testing import capture_logs

import proto.replicas
from history.core.model import ERASED, Change
from history.store import History, StoreUnavailable
from proto import dispatch_pb2
from proto.replicas import ReplicaAddresses
from rms.clocks import monotonic_ms, wall_ms
from rms.feed.position import LATE_MS, SURE_STEP_MS, parse_position
from rms.upstream.link import Link
from rms.upstream.registration import Registration
from rms.upstream.replicas import ACK_WAITS
from rms.videos.served import ServedVideos
from tests.rms.conftest import StartNode
from tests.rms.fake_dispatcher import fake_dispatcher
from tests.rms.http.test_app import viewer
from tests.rms.parts import comment, events, ids
from tests.waiting import eventually


async def test_without_a_dispatcher_viewers_still_get_the_past(start_node: StartNode) -> None:
    node = await start_node(dispatchers="127.0.0.1:1,127.0.0.1:2", wait=False)
    await node.store.append([comment(1)])
    async with viewer(node.port, "/comments/v") as raw:
        assert ids(await raw.read_until(1)) == [comment(1).id]
    assert node.node.upstream.connected == 0


async def test_every_replica_knows_the_interest_and_a_comment_of_both_comes_once(start_node: StartNode) -> None:
    async with fake_dispatcher() as one, fake_dispatcher() as two:
        node = await start_node(dispatchers=f"{one.address},{two.address}", wait=False)
        await eventually(lambda: one.connected and two.connected)
        async with viewer(node.port, "/comments/v") as raw:
            assert one.interest == two.interest == {"v": True}
            one.deliver([comment(1)])
            two.deliver([comment(1), comment(2)])
            one.deliver([comment(2), comment(3)])
            assert sorted(ids(await raw.read_until(3))) == [comment(n).id for n in (1, 2, 3)]


async def test_the_first_connected_replica_counts(start_node: StartNode) -> None:
    async with fake_dispatcher() as one, fake_dispatcher() as two:
        node = await start_node(dispatchers=f"{one.address},{two.address}", wait=False)
        await eventually(lambda: one.connected and two.connected)
        async with viewer(node.port, "/comments/v"):
            one.totals, two.totals = {"v": 10}, {"v": 20}
            (video,) = node.node.served.videos
            await eventually(lambda: video.total_viewers == 10)
            beats = len(two.beats)
            await eventually(lambda: len(two.beats) > beats + 2)
            two.totals = {}  # told once is enough: it is remembered until it counts
            one.refuses = True
            one.cut()
            await eventually(lambda: video.total_viewers == 20)


async def test_a_name_is_looked_up_again_and_a_living_link_is_kept(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that the name has no more may still be published through by those who haven't looked yet."""
    found: set[str] = set()

    async def look_up(name: str, port: int) -> set[str]:
        assert (name, port) == ("dispatchers.example", 7001)
        return set(found)

    monkeypatch.setattr(proto.replicas, "ReplicaAddresses", partial(ReplicaAddresses, look_up=look_up))
    async with fake_dispatcher() as one, fake_dispatcher() as two:
        found.add(one.address)
        node = await start_node(dispatchers="dns:dispatchers.example:7001", dispatchers_lookup_ms=20, wait=False)
        await eventually(lambda: one.connected)
        async with viewer(node.port, "/comments/v") as raw:
            found.add(two.address)
            found.remove(one.address)
            await eventually(lambda: two.connected)
            assert [video.video_id for video in two.hellos[0].videos] == ["v"]
            one.deliver([comment(1)])
            two.deliver([comment(2)])
            assert sorted(ids(await raw.read_until(2))) == [comment(1).id, comment(2).id]
            last = comment(3, wall_ms())
            await node.store.append([last])  # as if it were published through `one`, and delivered to others only
            one.refuses = True
            one.cut()
            await eventually(lambda: [each.address for each in node.node.upstream.statistics()] == [two.address])
            assert ids(await raw.read_until(3))[2] == last.id


async def test_localhost_is_looked_up_for_real(start_node: StartNode) -> None:
    async with fake_dispatcher() as fake:
        port = fake.address.rpartition(":")[2]
        node = await start_node(dispatchers=f"dns:localhost:{port}", wait=False)
        await eventually(lambda: fake.connected)
        assert [link.address for link in node.node.upstream.statistics()] == [fake.address]


async def test_goodbye_ends_every_stream(start_node: StartNode) -> None:
    node = await start_node()
    await node.node.upstream.close()
    await eventually(lambda: not node.dispatcher.connected)
    assert node.node.upstream.connected == 0


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


def begun_again(lines: Sequence[Mapping[str, Any]]) -> set[tuple[str, str]]:
    """The tasks that have failed and were begun again, with their reasons"""
    return {(line["task"], line["reason"]) for line in lines if line["event"] == "task failed, and is begun again"}


async def test_the_beat_goes_on_after_an_error(start_node: StartNode, monkeypatch: pytest.MonkeyPatch) -> None:
    node = await start_node()

    def broken(served: ServedVideos) -> None:
        raise ValueError("says the test")

    with capture_logs() as lines:
        with monkeypatch.context() as once:
            once.setattr(ServedVideos, "changed_viewers", broken)
            await eventually(lambda: begun_again(lines) == {("beat", "ValueError('says the test')")})
        beats = len(node.dispatcher.beats)
        await eventually(lambda: len(node.dispatcher.beats) > beats + 1)
    assert len(node.dispatcher.hellos) == 1


async def test_an_error_at_one_link_keeps_no_beat_from_the_others(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fake_dispatcher() as one, fake_dispatcher() as two:
        node = await start_node(dispatchers=f"{one.address},{two.address}", wait=False)
        await eventually(lambda: node.node.upstream.connected == 2)
        beat = Link.beat

        def broken(link: Link, message: dispatch_pb2.Beat) -> None:
            if link.address == one.address:
                raise ValueError("says the test")
            beat(link, message)

        with capture_logs() as lines:
            monkeypatch.setattr(Link, "beat", broken)
            beats = len(two.beats)
            await eventually(lambda: len(two.beats) > beats + 2)
        failed = {(line["dispatcher"], line["reason"]) for line in lines if line["event"] == "beat failed"}
        assert failed == {(one.address, "ValueError('says the test')")}


async def test_the_look_up_goes_on_after_an_error(start_node: StartNode, monkeypatch: pytest.MonkeyPatch) -> None:
    async with fake_dispatcher() as one:
        tries = 0

        async def look_up(name: str, port: int) -> set[str]:
            nonlocal tries
            tries += 1
            if tries == 1:
                raise LookupError("says the test")
            return {one.address}

        monkeypatch.setattr(proto.replicas, "ReplicaAddresses", partial(ReplicaAddresses, look_up=look_up))
        with capture_logs() as lines:
            await start_node(dispatchers="dns:dispatchers.example:7001", dispatchers_lookup_ms=20, wait=False)
            await eventually(lambda: one.connected)
        assert begun_again(lines) == {("look-up of dispatchers", "LookupError('says the test')")}


async def test_a_link_whose_reader_fails_is_made_again(start_node: StartNode, monkeypatch: pytest.MonkeyPatch) -> None:
    node = await start_node()

    def broken(*args: object) -> None:
        raise ValueError("says the test")

    async with viewer(node.port, "/comments/v") as raw:
        with capture_logs() as lines, monkeypatch.context() as once:
            once.setattr(ServedVideos, "deliver", broken)
            node.dispatcher.deliver([comment(1)])
            await eventually(lambda: bool(begun_again(lines)))
        assert begun_again(lines) == {(f"link to {node.dispatcher.address}", "ValueError('says the test')")}
        await eventually(lambda: len(node.dispatcher.hellos) == 2 and node.node.upstream.connected == 1)
        node.dispatcher.deliver([comment(1)])
        assert ids(await raw.read_until(1)) == [comment(1).id]


async def test_a_link_whose_writer_fails_is_made_again(start_node: StartNode, monkeypatch: pytest.MonkeyPatch) -> None:
    node = await start_node()
    messages = Registration._messages

    def broken(registration: Registration) -> list[dispatch_pb2.NodeMessage]:
        monkeypatch.setattr(Registration, "_messages", messages)
        raise ValueError("says the test")

    with capture_logs() as lines:
        monkeypatch.setattr(Registration, "_messages", broken)
        await eventually(lambda: len(node.dispatcher.hellos) == 2 and node.node.upstream.connected == 1)
    assert begun_again(lines) == {(f"link to {node.dispatcher.address}", "ValueError('says the test')")}
    await node.node.served.enter("v")
    assert node.dispatcher.interest == {"v": True}


class CountsWaits:
    """asyncio, and how often it waited for acknowledgements"""

    waits = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def wait(self, *args: Any, **options: Any) -> Any:
        self.waits += 1
        return await asyncio.wait(*args, **options)


@pytest.mark.parametrize(("away_ms", "waits"), [(0, ACK_WAITS), (10_000, 1)])
async def test_a_replica_that_talks_has_longer_to_acknowledge_than_a_silent_one(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch, away_ms: int, waits: int
) -> None:
    node = await start_node(interest_ack_ms=20)
    node.dispatcher.acknowledges_interest = False
    counts = CountsWaits()
    with monkeypatch.context() as patch:
        patch.setattr("rms.upstream.replicas.asyncio", counts)
        patch.setattr("rms.upstream.link.Link.away_ms", property(lambda link: away_ms))
        await node.node.upstream.join("v")
    assert counts.waits == waits
    await eventually(lambda: len(node.dispatcher.hellos) == 2)


async def test_goodbye_survives_a_replica_that_goes_at_the_same_moment(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start_node()
    (link,) = node.node.upstream._links
    gone = AsyncMock(side_effect=grpc.aio.InternalError("gone"))
    monkeypatch.setattr(type(link._call), "done_writing", gone)
    await node.node.upstream.close()
    await eventually(lambda: not node.dispatcher.connected)


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
            position = parse_position(next(e["id"] for e in events(await raw.read_until(1)) if "data" in e))
            assert position.sure_ms is not None
            assert first_ms - SURE_STEP_MS < position.sure_ms <= first_ms
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
