"""rms/videos/housekeeping.py: what time alone brings about"""

import pytest
from structlog.testing import capture_logs

from rms.feed.sse import HEARTBEAT
from rms.videos.housekeeping import Housekeeper
from rms.videos.served import ServedVideos
from rms.videos.video import ServedVideo
from tests.rms.conftest import StartNode
from tests.rms.http.test_app import viewer
from tests.rms.parts import comment, events, ids
from tests.waiting import eventually


async def test_viewers_are_told_how_many_they_are(start_node: StartNode, monkeypatch: pytest.MonkeyPatch) -> None:
    node = await start_node()
    async with viewer(node.port, "/comments/v") as raw, viewer(node.port, "/comments/v"):
        node.dispatcher.totals = {"v": 12_345, "unknown": 1}
        await raw.read_until(b"event: viewers\n")
        told = [event for event in events(raw.body + b"\n\n") if event.get("event") == "viewers"]
        assert told[0]["data"] == '{"viewers":12345}'
        assert "id" not in told[0], "it stands in no log: an id would take the viewer past what it has read"


async def test_the_count_is_told_once_a_second_and_less_often_to_many(start_node: StartNode) -> None:
    node = await start_node(count_sends_per_s=1)
    async with viewer(node.port, "/comments/v"), viewer(node.port, "/comments/v"):
        video = await node.node.served.enter("v")
        keeper = node.node.housekeeper
        video.total_viewers, video.announced_ms = 5, 10_000
        keeper.look_after(video, 12_000)
        assert video.announced_viewers == 0, "three here, one send a second: every three seconds"
        keeper.look_after(video, 13_000)
        assert video.announced_viewers == 5
        node.node.served.release(video)


async def test_a_change_that_nobody_sees_is_told_later(start_node: StartNode) -> None:
    node = await start_node()
    async with viewer(node.port, "/comments/v"):
        video = await node.node.served.enter("v")
        keeper = node.node.housekeeper
        video.announced_viewers, video.total_viewers, video.announced_ms = 10_000, 10_099, 10_000
        keeper.look_after(video, 15_000)
        assert video.announced_viewers == 10_000
        keeper.look_after(video, 20_000)
        assert video.announced_viewers == 10_099
        video.total_viewers = 9_900
        keeper.look_after(video, 21_000)
        assert video.announced_viewers == 9_900
        node.node.served.release(video)


async def test_a_heartbeat_is_told_only_where_nothing_else_is_due(start_node: StartNode) -> None:
    node = await start_node(heartbeat_ms=1_000)
    async with viewer(node.port, "/comments/v"):
        video = await node.node.served.enter("v")
        (audience,) = video.audiences.values()
        for _ in range(2):
            node.node.housekeeper.look_after(video, audience.sent_ms + 1_000)
        assert audience.due == HEARTBEAT
        node.node.served.release(video)


async def test_skipped_comments_are_told_to_the_slow_readers(start_node: StartNode) -> None:
    node = await start_node()
    async with viewer(node.port, "/comments/v?max_rate=1") as raw:
        node.dispatcher.deliver([comment(n) for n in range(3)])
        await raw.read_until(b'data: {"skipped":2}\n\n')
        assert ids(raw.body) == [comment(0).id]


async def test_an_edition_that_nobody_wants_is_dropped(start_node: StartNode) -> None:
    node = await start_node()
    async with viewer(node.port, "/comments/v"):
        async with viewer(node.port, "/comments/v?max_rate=1", "Accept-Encoding: gzip\r\n"):
            (video,) = node.node.served.videos
            assert len(video.audiences) == 3
        await eventually(lambda: len(video.audiences) == 1)


def broken(*args: object) -> None:
    raise ValueError("says the test")


async def test_an_error_in_one_video_is_logged_and_stops_no_other(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start_node(feed_linger_ms=0)
    look_after = Housekeeper.look_after

    def broken_for_v(keeper: Housekeeper, video: ServedVideo, now_ms: int) -> None:
        return broken() if video.video_id == "v" else look_after(keeper, video, now_ms)

    monkeypatch.setattr(Housekeeper, "look_after", broken_for_v)
    monkeypatch.setattr(node.node.sweeper, "close_stalled", broken)
    with capture_logs() as lines:
        async with viewer(node.port, "/comments/v"):
            async with viewer(node.port, "/comments/w"):
                assert node.dispatcher.interest == {"v": True, "w": True}
            await eventually(lambda: node.dispatcher.interest == {"v": True, "w": False})
    logged = [line for line in lines if line["event"] == "housekeeping failed"]
    assert {(line["video"], line["reason"]) for line in logged} == {("v", "ValueError('says the test')")}
    assert "stalled viewers not closed" in {line["event"] for line in lines}


async def test_the_housekeeper_goes_on_after_an_error(start_node: StartNode, monkeypatch: pytest.MonkeyPatch) -> None:
    node = await start_node(feed_linger_ms=0)
    with capture_logs() as lines:
        with monkeypatch.context() as once:
            once.setattr(ServedVideos, "videos", property(broken))
            await eventually(lambda: any("is begun again" in line["event"] for line in lines))
        async with viewer(node.port, "/comments/v"):
            pass
        await eventually(lambda: node.dispatcher.interest == {"v": False})
    failed = [line for line in lines if "is begun again" in line["event"]]
    assert {(line["task"], line["reason"]) for line in failed} == {("housekeeping", "ValueError('says the test')")}
