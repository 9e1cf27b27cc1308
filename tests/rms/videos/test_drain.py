"""rms/videos/drain.py: viewers are sent elsewhere, and nothing is lost on the way"""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from proto import dispatch_pb2
from rms.clocks import wall_ms
from rms.videos.drain import Drain
from rms.videos.entering import Entering
from rms.videos.request import parse_stream_request
from rms.videos.video import ServedVideo
from tests.rms.conftest import StartNode
from tests.rms.http.test_app import viewer
from tests.rms.parts import comment, events, ids
from tests.waiting import eventually


async def test_an_operator_drains_a_node_and_takes_it_back(start_node: StartNode) -> None:
    node = await start_node()
    async with viewer(node.port, "/comments/v") as raw, viewer(node.port, "/comments/v") as other:
        node.dispatcher.deliver([comment(1)])
        await raw.read_until(1)
        await other.read_until(1)
        node.dispatcher.say(dispatch_pb2.DispatcherMessage(drain=dispatch_pb2.Drain(draining=True, over_ms=100)))
        for each in (raw, other):
            async with asyncio.timeout(10):
                await each.read_to_end()
            (*_, last) = events(each.body)
            assert last["event"] == "reconnect"
        await eventually(lambda: any(beat.draining for beat in node.dispatcher.beats[-1:]))
    async with viewer(node.port, "/comments/v") as refused:
        assert b"503" in refused.head.split(b"\r\n")[0]
    node.dispatcher.say(dispatch_pb2.DispatcherMessage(drain=dispatch_pb2.Drain(draining=False)))
    await eventually(lambda: not node.dispatcher.beats[-1].draining)
    async with viewer(node.port, "/comments/v") as again:
        assert ids(await again.read_until(0)) == []
        assert b"200" in again.head.split(b"\r\n")[0]


async def test_who_is_sent_away_goes_on_elsewhere_without_a_loss(start_node: StartNode) -> None:
    here, there = await start_node(), await start_node()
    talk = [comment(n, wall_ms()) for n in range(31)]
    bodies: list[bytes] = []

    async def watch() -> None:
        async with viewer(here.port, "/comments/v") as raw:
            async with asyncio.timeout(10):
                await raw.read_to_end()
            *_, last = (event["id"] for event in events(raw.body) if "id" in event)
        async with viewer(there.port, f"/comments/v?last_event_id={last}") as again:
            await again.read_until(b"%016x" % talk[-1].id)
        bodies.append(raw.body + again.body)

    watching = [asyncio.create_task(watch()) for _ in range(20)]
    await eventually(lambda: len(here.node.sweeper) == 20)
    await here.store.append(talk[:10])
    here.dispatcher.deliver(talk[:10])
    await eventually(lambda: here.node.sweeper.statistics().deliveries == 200)
    here.node.drain.start(over_ms=300)
    for n in range(10, 30):
        await here.store.append([talk[n]])
        if here.dispatcher.connected:
            here.dispatcher.deliver([talk[n]])
        await asyncio.sleep(0)
    await eventually(lambda: len(here.node.sweeper) == 0)
    await eventually(lambda: there.dispatcher.interest == {"v": True})
    await here.store.append(talk[30:])
    there.dispatcher.deliver(talk)
    await asyncio.gather(*watching)
    for body in bodies:
        assert ids(body) == [c.id for c in talk], "in this order, each once"


async def test_who_is_on_the_way_in_when_a_drain_begins_is_sent_elsewhere(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start_node()
    history_for, arrived, go_on = Entering.history_for, asyncio.Event(), asyncio.Event()

    async def slow_for_v(entering: Entering, video: ServedVideo, *others: Any) -> Any:
        if video.video_id == "v":
            arrived.set()
            await go_on.wait()
        return await history_for(entering, video, *others)

    async def come() -> bytes:
        async with viewer(node.port, "/comments/v") as coming:
            return coming.head

    monkeypatch.setattr(Entering, "history_for", slow_for_v)
    async with viewer(node.port, "/comments/w") as other:
        coming = asyncio.create_task(come())
        await arrived.wait()
        node.node.drain.start(over_ms=0)
        await other.read_to_end()
        go_on.set()
        assert b"503" in (await coming).split(b"\r\n")[0]


async def test_who_comes_back_into_a_drained_node_is_sent_away(start_node: StartNode) -> None:
    """Who has fallen off its log is in no audience meanwhile."""
    node = await start_node()
    sweeper = node.node.sweeper
    async with viewer(node.port, "/comments/v") as fallen:
        (video,) = node.node.served.videos
        ((slow,),) = [audience.viewers for audience in video.audiences.values()]
        sweeper.detach(slow)
        async with viewer(node.port, "/comments/w") as other:
            node.node.drain.start(over_ms=0)
            await other.read_to_end()
        sweeper.add(slow)
        await fallen.read_to_end()
        assert [*events(fallen.body)][-1]["event"] == "reconnect"


async def test_who_is_streamed_to_is_sent_away_at_the_next_event_or_heartbeat(start_node: StartNode) -> None:
    """By other servers, which don't give their sockets away"""

    async def no_socket() -> None:
        return None

    node = await start_node()
    asked = parse_stream_request("v", {}, {"accept": "text/event-stream"}, backfill=0, backfill_max=0)
    body = await node.node.viewers.enter(asked, no_socket)
    assert body is not None
    await anext(body)
    node.node.drain.start(over_ms=0)
    node.dispatcher.deliver([comment(1)])
    last = b"".join([chunk async for chunk in body])
    assert [event["event"] for event in events(last)] == ["reconnect"], "what it lacks it gets elsewhere"
    assert len(node.node.viewers) == 0


async def test_a_word_from_a_dispatcher_does_not_keep_a_node_from_ending(start_node: StartNode) -> None:
    node = await start_node(drain_viewers_per_s=1, drain_ms_max=600)
    async with viewer(node.port, "/comments/v"), viewer(node.port, "/comments/v"):
        ending = asyncio.create_task(node.node.stop())
        await eventually(lambda: node.node.drain.draining)
        node.node.drain.cancel()
        node.node.drain.start(over_ms=3_600_000)
        assert node.node.drain.draining, "nobody is let in again"
        async with asyncio.timeout(10):
            await ending
    assert node.node.server.should_exit


async def test_an_error_in_one_video_keeps_no_viewer_of_another_here(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start_node()
    send_away_from = Drain._send_away_from

    def broken_for_v(drain: Drain, video: ServedVideo, count: int) -> int:
        if video.video_id == "v":
            raise ValueError("says the test")
        return send_away_from(drain, video, count)

    monkeypatch.setattr(Drain, "_send_away_from", broken_for_v)
    async with viewer(node.port, "/comments/v"), viewer(node.port, "/comments/w") as other:
        with capture_logs() as lines:
            node.node.drain.start(over_ms=100)
            assert b"event: reconnect\n" in await other.read_until(b"event: reconnect\n")
        failed = {(line["video"], line["reason"]) for line in lines if line["event"] == "viewers not sent away"}
        assert failed == {("v", "ValueError('says the test')")}


async def test_a_drain_that_fails_is_logged_and_the_node_ends(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start_node()

    def broken(drain: Drain, count: int) -> None:
        raise ValueError("says the test")

    with monkeypatch.context() as once, capture_logs() as lines:
        once.setattr(Drain, "_send_away", broken)
        await node.node.stop()
    assert ("drain", "ValueError('says the test')") in {(line.get("task"), line.get("reason")) for line in lines}
    assert node.node.server.should_exit
    await eventually(lambda: not node.dispatcher.connected)
    assert node.dispatcher.beats[-1].draining, "nobody is placed here while it ends"
