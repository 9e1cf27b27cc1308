"""rms/upstream/replicas.py: all replicas are told, and none is waited for that isn't there"""

from functools import partial

import pytest

import proto.replicas
from proto.replicas import Whereabouts
from rms.clocks import wall_ms
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

    monkeypatch.setattr(proto.replicas, "Whereabouts", partial(Whereabouts, look_up=look_up))
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
