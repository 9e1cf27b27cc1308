"""rms/upstream/link.py: the stream to a dispatcher, made, lost and made again."""

import random

import aiohttp
import grpc
import pytest
from structlog.testing import capture_logs

from rms.clocks import wall_ms
from rms.upstream.replicas import Upstream
from tests.dispatcher.peers import NodePeer, RunningReplica
from tests.rms.conftest import StartNode
from tests.rms.fake_dispatcher import FakeDispatcher, fake_dispatcher
from tests.rms.http.test_app import viewer
from tests.rms.parts import comment, ids
from tests.waiting import eventually


async def test_hello_has_the_whole_picture(start_node: StartNode) -> None:
    node = await start_node(node_id="rms-1", public_url="http://rms-1.example", capacity=7)
    (hello,) = node.dispatcher.hellos
    assert (hello.node_id, hello.public_url, hello.capacity_viewers) == ("rms-1", "http://rms-1.example", 7)
    assert hello.silent_ms == 0
    async with viewer(node.port, "/comments/v"):
        node.dispatcher.cut()
        await eventually(lambda: len(node.dispatcher.hellos) == 2 and node.dispatcher.connected)
        again = node.dispatcher.hellos[1]
        assert again.incarnation == hello.incarnation
        assert [(video.video_id, video.viewers) for video in again.videos] == [("v", 1)]
        assert again.load.viewers == 1
        assert again.silent_ms > 0


async def test_who_was_sent_away_by_its_replica_reads_history_at_the_next_life_of_it(start_node: StartNode) -> None:
    """The replica answered its publishers for what the node lacks, died, and is back within a lease."""
    node = await start_node()
    async with viewer(node.port, "/comments/v"):
        node.dispatcher.cut()
        await eventually(lambda: len(node.dispatcher.hellos) == 2 and node.dispatcher.connected)
    silent_ms = node.dispatcher.hellos[1].silent_ms
    assert silent_ms >= node.dispatcher.lease_ms
    async with RunningReplica(lease_ms=node.dispatcher.lease_ms) as replica, NodePeer(replica.listen) as peer:
        assert (await peer.hello({"v": 1}, silent_ms=silent_ms)).catch_up_from_id > 0


async def test_who_has_lost_its_replica_to_a_kill_says_no_more_than_its_silence(start_node: StartNode) -> None:
    """What that process hadn't delivered it hadn't answered, so it was sent again."""
    node = await start_node()
    node.dispatcher.cut_code = grpc.StatusCode.UNAVAILABLE  # as gRPC says of a connection that is gone
    node.dispatcher.cut()
    await eventually(lambda: len(node.dispatcher.hellos) == 2 and node.dispatcher.connected)
    assert 0 < node.dispatcher.hellos[1].silent_ms < node.dispatcher.lease_ms


async def test_what_was_missed_while_a_replica_was_away_is_read_from_history(start_node: StartNode) -> None:
    node = await start_node()
    async with viewer(node.port, "/comments/v") as raw:
        node.dispatcher.deliver([comment(1)])
        await raw.read_until(1)
        talk = [comment(n, wall_ms()) for n in (2, 3)]
        await node.store.append(talk)
        node.dispatcher.catch_up_from_id = talk[0].id
        node.dispatcher.cut()
        assert ids(await raw.read_until(3)) == [comment(1).id, *(each.id for each in talk)]


async def test_catch_up_is_acknowledged_and_read(start_node: StartNode) -> None:
    node = await start_node()
    async with viewer(node.port, "/comments/v") as raw:
        talk = [comment(n, wall_ms()) for n in range(1_200)]
        await node.store.append(talk)
        number = node.dispatcher.catch_up(talk[0].id)
        assert ids(await raw.read_until(1_200)) == [each.id for each in talk]
        await eventually(lambda: node.dispatcher.delivered == number)


async def test_what_was_said_before_a_feed_began_is_not_sent_as_new(start_node: StartNode) -> None:
    """A replica that was away for long tells a node to read from a time when this video had no viewer here."""
    node = await start_node(backfill_max=3)
    began_ms = wall_ms() - 300_000
    talk = [comment(n, began_ms + n * 1_000) for n in range(100)]
    await node.store.append(talk)
    async with viewer(node.port, "/comments/v?backfill=2") as raw:
        await raw.read_until(2)
        new = comment(0, wall_ms())
        await node.store.append([new])
        node.dispatcher.catch_up(talk[0].id)
        assert ids(await raw.read_until(3)) == [talk[98].id, talk[99].id, new.id]


async def test_a_catch_up_reads_no_further_back_than_ids_are_remembered(start_node: StartNode) -> None:
    """All that was forgotten would go to the viewers a second time: they are told of a gap instead."""
    node = await start_node(dedupe_ms=60_000)
    async with viewer(node.port, "/comments/v") as raw:
        old, new = comment(1, wall_ms() - 120_000), comment(2, wall_ms())
        await node.store.append([old, new])
        node.dispatcher.catch_up(old.id)
        assert ids(await raw.read_until(1)) == [new.id]
        body = await raw.read_until(b"event: gap\n")
        assert f'"from":"{old.id - 1:016x}"'.encode() in body
        assert b'"reason":"too_long_ago"' in body


async def test_a_quiet_time_is_no_gap(start_node: StartNode) -> None:
    node = await start_node(dedupe_ms=60_000)
    async with viewer(node.port, "/comments/v") as raw:
        new = comment(2, wall_ms())
        await node.store.append([new])
        node.dispatcher.catch_up(comment(1, wall_ms() - 120_000).id)
        assert ids(await raw.read_until(1)) == [new.id]
        assert b"event: gap" not in raw.body


async def test_a_replica_that_does_not_acknowledge_is_left_and_tried_again(start_node: StartNode) -> None:
    node = await start_node(interest_ack_ms=50)
    node.dispatcher.acknowledges_interest = False
    async with viewer(node.port, "/comments/v") as raw:
        await eventually(lambda: len(node.dispatcher.hellos) == 2 and node.dispatcher.connected)
        assert [video.video_id for video in node.dispatcher.hellos[1].videos] == ["v"]
        node.dispatcher.deliver([comment(1)])
        assert ids(await raw.read_until(1)) == [comment(1).id]


@pytest.fixture
def waits_ms(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How long a link may wait before it connects again, each time; here it waits for nothing."""
    waits: list[int] = []

    def no_wait(least: float, most: float) -> float:
        waits.append(round(most * 1_000))
        return 0

    monkeypatch.setattr(random, "uniform", no_wait)
    return waits


async def test_a_replica_that_never_acknowledges_is_tried_ever_more_rarely(
    start_node: StartNode, waits_ms: list[int]
) -> None:
    """Each new stream makes all feeds read what they may have missed."""
    node = await start_node(interest_ack_ms=100)
    node.dispatcher.acknowledges_interest = False
    link = node.node.upstream.statistics
    for times in range(1, 7):
        await node.node.served.enter(f"v{times}")
        await eventually(lambda times=times: len(node.dispatcher.hellos) == times + 1 and link()[0].connected)  # type: ignore[misc]
        assert waits_ms == [50, 100, 200, 400, 800, 1_000][:times]
    node.dispatcher.acknowledges_interest = True
    await node.node.served.enter("w")
    assert node.dispatcher.interest["w"]
    node.dispatcher.cut()
    await eventually(lambda: len(node.dispatcher.hellos) == 8 and node.dispatcher.connected and link()[0].connected)
    assert len(waits_ms) == 6, "a stream that was of use is made again at once"
    node.dispatcher.acknowledges_interest = False
    await node.node.served.enter("x")
    await eventually(lambda: len(node.dispatcher.hellos) == 9)
    assert waits_ms[6:] == [50]


async def test_a_replica_that_ends_each_stream_at_once_is_tried_ever_more_rarely(
    start_node: StartNode, waits_ms: list[int]
) -> None:
    node = await start_node(reconnect_ms_max=60_000)
    for times in range(1, 4):
        node.dispatcher.cut()
        await eventually(lambda times=times: len(node.dispatcher.hellos) == times + 1 and node.dispatcher.connected)  # type: ignore[misc]
    assert waits_ms == [50, 100, 200]


async def test_a_silent_replica_is_left(start_node: StartNode) -> None:
    node = await start_node()
    node.dispatcher.lease_ms = 200
    node.dispatcher.answers_beats = False
    node.dispatcher.cut()
    await eventually(lambda: node.node.upstream.statistics()[0].connects >= 3)


async def test_an_erasure_blanks_the_backfill_and_is_told(start_node: StartNode) -> None:
    node = await start_node(gzip_viewers_min=1)
    async with (
        viewer(node.port, "/comments/v") as raw,
        viewer(node.port, "/comments/v?max_rate=5", "Accept-Encoding: gzip\r\n") as limited,
    ):
        node.dispatcher.deliver([comment(1, message="secret"), comment(2)])
        await raw.read_until(2)
        node.dispatcher.erase("v", comment(3).id, comment(1).id)
        await raw.read_until(b"event: deleted\n")
        async with viewer(node.port, "/comments/v") as late:
            body = await late.read_until(1)
            assert ids(body) == [comment(2).id]
            assert b"secret" not in body
            assert b"event: deleted" not in body, "it never had that comment"
        await limited.read_until(b"event: deleted")


async def test_a_replica_that_stays_away_is_told_once(start_node: StartNode) -> None:
    """In the log, and to operators who ask for the node's health"""
    with capture_logs() as lines:
        node = await start_node(dispatchers="127.0.0.1:1", wait=False, reconnect_ms_min=1)
        link = node.node.upstream.statistics
        await eventually(lambda: link()[0].tries > 3)
    told = [line for line in lines if line["event"] == "dispatcher can't be reached"]
    assert [(line["dispatcher"], line["reason"]) for line in told] == [("127.0.0.1:1", "nothing listens there")]
    async with aiohttp.request("GET", f"http://{node.node.operators.address}/health/ready") as ready:
        assert ready.status == 503
        assert (await ready.json())["dispatcher_trouble"] == ["nothing listens there"]


async def test_a_replica_without_a_welcome_is_left(start_node: StartNode) -> None:
    node = await start_node(welcome_ms=20, reconnect_ms_max=20)
    node.dispatcher.welcomes = False
    node.dispatcher.cut()
    link = node.node.upstream.statistics
    await eventually(lambda: link()[0].trouble == "no welcome within 20 ms")
    node.dispatcher.welcomes = True
    await eventually(lambda: link()[0].connected)
    assert link()[0].trouble == ""


async def test_a_video_that_opens_before_the_welcome_waits_for_nobody_and_misses_nothing(
    start_node: StartNode,
) -> None:
    """A replica may take longer for its welcome than for an interest: it must not be left for that."""
    node = await start_node(interest_ack_ms=50)
    node.dispatcher.welcomes = False
    node.dispatcher.cut()
    await eventually(lambda: len(node.dispatcher.hellos) == 2)
    async with viewer(node.port, "/comments/v") as raw:
        missed = comment(1, wall_ms())
        await node.store.append([missed])  # published through this replica, which knows nothing of the video yet
        node.dispatcher.welcomes = True
        assert ids(await raw.read_until(1)) == [missed.id]
        then = comment(2, wall_ms())
        node.dispatcher.deliver([then])
        assert ids(await raw.read_until(2))[1] == then.id
        assert [len(hello.videos) for hello in node.dispatcher.hellos] == [0, 0], "it was left"
        assert node.dispatcher.interest == {"v": True}


async def test_a_replica_that_is_slow_to_welcome_gets_the_viewers_that_came_meanwhile(start_node: StartNode) -> None:
    async with fake_dispatcher() as one, fake_dispatcher() as two:
        two.welcomes = False
        node = await start_node(dispatchers=f"{one.address},{two.address}", wait=False, welcome_ms=60_000)
        await eventually(lambda: one.connected and bool(two.hellos))

        def told(replica: FakeDispatcher) -> dict[str, int]:
            return {video.video_id: video.viewers for beat in replica.beats for video in beat.videos}

        async with viewer(node.port, "/comments/v"):
            await eventually(lambda: told(one) == {"v": 1})
            two.welcomes = True
            await eventually(lambda: told(two) == {"v": 1})
        assert len(two.hellos) == 1


async def test_what_such_a_video_missed_is_read_also_if_that_welcome_never_comes(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Upstream, "_read_what_goes_by", lambda *_: None)  # which would find it, too
    node = await start_node()
    node.dispatcher.welcomes = False
    node.dispatcher.cut()
    await eventually(lambda: len(node.dispatcher.hellos) == 2)
    async with viewer(node.port, "/comments/v") as raw:
        missed = comment(1, wall_ms())
        await node.store.append([missed])
        node.dispatcher.refuses = True
        await eventually(lambda: node.node.upstream.statistics()[0].tries > 2)
        node.dispatcher.refuses, node.dispatcher.welcomes = False, True
        assert ids(await raw.read_until(1)) == [missed.id]
        assert [video.video_id for video in node.dispatcher.hellos[-1].videos] == ["v"]


async def test_what_a_peer_says_is_told_to_the_log_only(start_node: StartNode) -> None:
    """Its own words, or gRPC's, may name addresses, and any stranger may ask for the node's health."""
    with capture_logs() as lines:
        node = await start_node()
        node.dispatcher.refuses = True
        node.dispatcher.cut()
        await eventually(lambda: node.node.upstream.statistics()[0].trouble == "the connection failed: UNAVAILABLE")
    *_, told = (line for line in lines if line["event"] == "dispatcher can't be reached")
    assert (told["reason"], told["detail"]) == ("the connection failed: UNAVAILABLE", "refused by the test")


async def test_a_stream_is_given_up_once_for_the_first_reason(start_node: StartNode) -> None:
    node = await start_node()
    (link,) = node.node.upstream._links
    with capture_logs() as lines:
        link.cut("the first reason")
        link.cut("another one")
    assert [line["why"] for line in lines if line["event"] == "dispatcher given up"] == ["the first reason"]
