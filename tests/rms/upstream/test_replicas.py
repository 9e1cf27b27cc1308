"""rms/upstream/replicas.py: all replicas are told, and none is waited for that isn't there"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from unittest.mock import AsyncMock

import grpc
import pytest
from structlog.testing import capture_logs

import proto.replicas
from proto import dispatch_pb2
from proto.replicas import ReplicaAddresses
from rms.clocks import wall_ms
from rms.upstream.link import Link
from rms.upstream.registration import Registration
from rms.upstream.replicas import ACK_WAITS
from rms.videos.served import ServedVideos
from tests.rms.conftest import StartNode
from tests.rms.fake_dispatcher import fake_dispatcher
from tests.rms.http.test_app import viewer
from tests.rms.parts import comment, ids
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
