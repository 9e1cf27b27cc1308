"""rms/videos/records.py: viewers are told what is known of their video, and of others nothing is sent"""

import asyncio
import json
from dataclasses import replace
from typing import Any, cast

import pytest

from history.core.video import Order, Video, obey, video_json
from history.store import History, StoreUnavailable
from rms.feed.editions import Form
from rms.videos.request import StreamRequest
from tests.rms.conftest import RunningNode, StartNode
from tests.rms.http.test_app import RawViewer, answer, get, viewer
from tests.rms.parts import comment, events
from tests.waiting import eventually

TALK = Video("v", "A talk", None, 1_000, planned_at_ms=5_000)
FAST = {"video_news_ms": 20}


def history(node: RunningNode) -> History:
    return cast(History, node.store)


def told(raw: RawViewer) -> list[dict[str, Any]]:
    """The videos that have come on the stream"""
    named = [event for event in events(raw.body) if event.get("event") == "video"]
    assert all("id" not in event for event in named), "an id would take the viewer past what it has read"
    return [json.loads(event["data"]) for event in named]


def as_json(video: Video) -> dict[str, Any]:
    return dict(json.loads(video_json(video)))


@pytest.mark.parametrize("encoding", ["", "Accept-Encoding: gzip\r\n"])
@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_who_comes_is_told_and_each_change_as_well(start_node: StartNode, encoding: str, version: str) -> None:
    node = await start_node(**FAST, gzip_viewers_min=1)
    await history(node).add_video(TALK)
    async with viewer(node.port, "/comments/v", encoding, version) as raw:
        await raw.read_until(b'"A talk"')
        live = obey(TALK, Order.START, 6_000)
        await history(node).change_video(TALK, live)
        await raw.read_until(b'"state":"live"')
        ended = obey(replace(live, title="It was a talk", playback_url="https://cdn.example/a.mp4"), Order.END, 9_000)
        await history(node).change_video(live, ended)
        await raw.read_until(b'"state":"ended"')
        assert told(raw) == [as_json(TALK), as_json(live), as_json(ended)]
        async with viewer(node.port, "/comments/v", encoding, version) as late:
            await late.read_until(b'"It was a talk"')
            assert told(late) == [as_json(ended)], "at once, without a read"


async def test_a_video_without_a_row_sends_nothing_until_somebody_adds_it(start_node: StartNode) -> None:
    node = await start_node(**FAST)
    async with viewer(node.port, "/comments/v") as raw, viewer(node.port, "/comments/other") as other:
        node.dispatcher.deliver([comment(1)])
        await raw.read_until(1)
        assert told(raw) == []
        await history(node).add_video(TALK)
        await raw.read_until(b'"A talk"')
        assert told(raw) == [as_json(TALK)]
        node.dispatcher.deliver([comment(2)])
        await raw.read_until(2)
        assert b"event: video" not in other.body
    assert len(told(raw)) == 1, "the same news is read again, and not sent again"


async def test_a_poll_is_answered_with_it(start_node: StartNode) -> None:
    node = await start_node(**FAST)
    await history(node).add_video(TALK)

    async def named() -> list[dict[str, Any]]:
        _, _, body = await answer(node.port, get("/comments/v?wait=0", "application/json"))
        return [event["data"] for event in json.loads(body)["events"] if event.get("event") == "video"]

    await eventually(lambda: _equals(named(), [as_json(TALK)]))
    _, _, body = await answer(node.port, get("/comments/unknown?wait=0", "application/json"))
    assert b'"video"' not in body


async def _equals(asked: Any, wanted: Any) -> bool:
    return bool(await asked == wanted)


async def test_while_the_store_is_away_what_is_known_counts(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start_node(**FAST)
    await history(node).add_video(TALK)
    past, asked = node.node.past, asyncio.Event()
    works = past.videos, past.changed_videos

    async def away(*_: object) -> Any:
        asked.set()
        raise StoreUnavailable("away")

    monkeypatch.setattr(past, "videos", away)
    monkeypatch.setattr(past, "changed_videos", away)
    async with viewer(node.port, "/comments/v") as raw:
        await asked.wait()
        assert told(raw) == []
        monkeypatch.setattr(past, "videos", works[0])
        await raw.read_until(b'"A talk"')
        await history(node).change_video(TALK, obey(TALK, Order.START, 6_000))
        monkeypatch.setattr(past, "changed_videos", works[1])
        await raw.read_until(b'"state":"live"')


async def test_too_many_changes_are_a_look_at_all_that_are_served(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start_node(**FAST)
    await history(node).add_video(TALK)

    async def too_many(*_: object) -> None:
        return None

    monkeypatch.setattr(node.node.past, "changed_videos", too_many)
    async with viewer(node.port, "/comments/v") as raw:
        await raw.read_until(b'"A talk"')
        await history(node).change_video(TALK, obey(TALK, Order.START, 6_000))
        await raw.read_until(b'"state":"live"')


async def test_a_viewer_whose_socket_cannot_be_had_is_told_with_its_next_bytes(start_node: StartNode) -> None:
    node = await start_node(**FAST, heartbeat_ms=50)
    await history(node).add_video(TALK)
    video = await node.node.served.enter("v")
    await eventually(lambda: bool(video.record))
    body = await node.node.viewers.enter(StreamRequest("v", None, 50, Form()), _no_socket)
    assert body is not None
    received = await anext(body)
    assert b'"A talk"' in received
    await history(node).change_video(TALK, obey(TALK, Order.START, 6_000))
    while b'"state":"live"' not in received:
        received += await anext(body)
    assert received.count(b"event: video") == 2
    await body.aclose()  # type: ignore[attr-defined]
    node.node.served.release(video)


async def _no_socket() -> None:
    return None
