"""A video that is opened while history can't be read: who is cut then and comes back gets each comment once."""

import asyncio
import json
from typing import Any

import pytest

from history.core.ids import first_id_at
from history.core.model import Comment
from history.opening import open_reader
from history.store import StoreUnavailable
from rms.clocks import wall_ms
from rms.feed.position import parse_position
from tests.rms.conftest import RunningNode, StartNode
from tests.rms.http.test_app import RawViewer, answer, viewer
from tests.rms.parts import comment, event, events, ids
from tests.waiting import eventually

QUERIES = ("", "?max_rate=100", "?backfill=0")


class Away:
    """The store of all nodes: it can't be opened until it is back."""

    def __init__(self) -> None:
        self.is_away = True

    async def open(self, *arguments: Any) -> Any:
        if self.is_away:
            raise StoreUnavailable("away, says the test")
        return await open_reader(*arguments)


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Away:
    store = Away()
    monkeypatch.setattr("rms.videos.past.open_reader", store.open)
    return store


class Talk:
    """A comment_service that has begun a moment ago, and its comments"""

    def __init__(self) -> None:
        self.after_id = first_id_at(wall_ms() - 1_000)
        self.comments: list[Comment] = []

    def say(self, *nodes: RunningNode) -> Comment:
        said = comment(len(self.comments), max(wall_ms(), self.comments[-1].created_at_ms + 1 if self.comments else 0))
        for node in nodes:
            node.node.served.deliver("v", [event(said, self.after_id)])
        self.after_id = said.id
        self.comments.append(said)
        return said


def last_id(raw: RawViewer) -> str:
    return [each["id"] for each in events(raw.body) if "id" in each][-1]


async def back(node: RunningNode, away: Away) -> None:
    away.is_away = False
    await eventually(lambda: not any(video.is_behind for video in node.node.served.videos))


@pytest.mark.parametrize("query", QUERIES)
async def test_who_is_cut_comes_back_and_misses_nothing(start_node: StartNode, away: Away, query: str) -> None:
    node, talk = await start_node(catch_up_retry_ms_max=10), Talk()
    joint = "&" if query else "?"
    async with viewer(node.port, "/comments/v"):
        async with viewer(node.port, f"/comments/v{query}") as raw:
            first = talk.say(node)
            assert ids(await raw.read_until(1)) == [first.id]
        second = talk.say(node)
        async with viewer(node.port, f"/comments/v{query}{joint}last_event_id={last_id(raw)}") as again:
            third = talk.say(node)
            assert ids(await again.read_until(2)) == [second.id, third.id]
            assert b"event: gap" not in again.body
            await node.store.append(talk.comments)
            await back(node, away)
            fourth = talk.say(node)
            assert ids(await again.read_until(3)) == [second.id, third.id, fourth.id]
        async with viewer(node.port, f"/comments/v{query}{joint}last_event_id={last_id(again)}") as once_more:
            fifth = talk.say(node)
            assert ids(await once_more.read_until(1)) == [fifth.id]
            assert b"event: gap" not in once_more.body


async def test_who_polls_gets_each_comment_once(start_node: StartNode, away: Away) -> None:
    node, talk = await start_node(catch_up_retry_ms_max=10), Talk()
    got, position = [], ""
    async with viewer(node.port, "/comments/v"):
        for number in range(6):
            said = talk.say(node)
            if number == 3:
                await node.store.append(talk.comments)
                await back(node, away)
            query = f"wait=1&last_event_id={position}" if position else "wait=1"
            status, _, body = await answer(node.port, f"GET /comments/v?{query} HTTP/1.1\r\nHost: x\r\n\r\n")
            assert status == 200
            found = json.loads(body)
            assert not any(each.get("event") == "gap" for each in found["events"])
            got += [int(each["data"]["id"], 16) for each in found["events"] if "event" not in each]
            position = found["position"]
            assert said.id in got
    assert got == [each.id for each in talk.comments]


@pytest.mark.parametrize("is_back", [False, True])
async def test_who_is_cut_changes_nodes_and_misses_nothing(start_node: StartNode, away: Away, is_back: bool) -> None:
    """The other node has its past, or has none either."""
    one, talk = await start_node(catch_up_retry_ms_max=10), Talk()
    async with viewer(one.port, "/comments/v") as raw:
        for _ in range(3):
            talk.say(one)
        await raw.read_until(3)
    talk.say(one)
    await one.store.append(talk.comments)
    other = await start_node(catch_up_retry_ms_max=10)
    if is_back:
        away.is_away = False
        await eventually(lambda: other.node.past._reader is not None)
    async with viewer(other.port, "/comments/v"):
        await eventually(lambda: len(other.node.served.videos) == 1)
        async with viewer(other.port, f"/comments/v?last_event_id={last_id(raw)}") as again:
            fifth = talk.say(one, other)
            await back(other, away)
            sixth = talk.say(one, other)
            assert sorted(ids(await again.read_until(3))) == [talk.comments[3].id, fifth.id, sixth.id]
            assert b"event: gap" not in again.body


async def test_what_the_log_has_dropped_is_told_as_a_gap(start_node: StartNode, away: Away) -> None:
    node, talk = await start_node(log_bytes_max=1, backfill=1, backfill_max=1), Talk()
    async with viewer(node.port, "/comments/v"):
        async with viewer(node.port, "/comments/v") as raw:
            talk.say(node)
            await raw.read_until(1)
        for _ in range(3):
            talk.say(node)
        async with viewer(node.port, f"/comments/v?last_event_id={last_id(raw)}") as again:
            assert b'"reason":"history_unavailable"' in await again.read_until(b"event: gap")
        talk.say(node)


async def test_the_past_may_come_while_a_viewer_is_on_its_way_in(start_node: StartNode, away: Away) -> None:
    node, talk = await start_node(catch_up_retry_ms_max=10), Talk()
    served = node.node.served
    video = await served.enter("v")
    old = [comment(n, wall_ms() - 5_000) for n in range(3)]
    await node.store.append(old)
    position = parse_position(f"{old[0].id:016x}")
    assert await served.entering.history_for(video, position, 5) is None
    await back(node, away)
    attach = await served.entering.place(video, position, 5, None)
    talk.say(node)
    assert b"event: gap" not in attach.private
    got = ids(attach.private + video.feed.log.read(attach.offset, 1 << 20))
    assert got == [old[1].id, old[2].id, talk.comments[0].id]
    served.release(video)


async def test_a_viewer_new_to_the_video_is_shown_its_past_when_it_comes(start_node: StartNode, away: Away) -> None:
    node, talk = await start_node(catch_up_retry_ms_max=10), Talk()
    old = [comment(n, wall_ms() - 5_000) for n in range(3)]
    await node.store.append(old)
    async with viewer(node.port, "/comments/v") as raw, viewer(node.port, "/comments/v?max_rate=100") as limited:
        talk.say(node)
        await raw.read_until(1)
        away.is_away = False
        for each in (raw, limited):
            assert sorted(ids(await each.read_until(4))) == [*(one.id for one in old), talk.comments[0].id]
        await back(node, away)
        (video,) = node.node.served.videos
        assert not video.feed.had.services_with_holes
        await raw.read_until(video.feed.text())  # and a position without a hole
    async with asyncio.timeout(10), viewer(node.port, f"/comments/v?last_event_id={last_id(raw)}") as again:
        second = talk.say(node)
        assert ids(await again.read_until(1)) == [second.id]
