"""rms/videos/housekeeping.py: what time alone brings about"""

import asyncio
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from rms.clocks import monotonic_ms
from rms.config import RmsSettings
from rms.feed.editions import Form
from rms.feed.feed import Feed
from rms.feed.sse import HEARTBEAT
from rms.http import admission
from rms.sending.audience import Audience
from rms.sending.sweep import Sweeper
from rms.videos.housekeeping import ROUND_MS, Housekeeper
from rms.videos.request import parse_stream_request
from rms.videos.served import ServedVideos
from rms.videos.video import ServedVideo, State
from tests.rms.conftest import StartNode
from tests.rms.feed.test_feed import LIMITS
from tests.rms.http.test_app import viewer
from tests.rms.parts import comment, events, ids
from tests.waiting import eventually


async def test_viewers_are_told_how_many_they_are(start_node: StartNode, monkeypatch: pytest.MonkeyPatch) -> None:
    node = await start_node()
    async with viewer(node.port, "/comments/v") as raw, viewer(node.port, "/comments/v"):
        node.dispatcher.totals = {"v": 12_345, "unknown": 1}
        await raw.read_until(b'{"viewers":12345}\n\n')
        told = [event for event in events(raw.body + b"\n\n") if event.get("event") == "viewers"]
        assert told[-1]["data"] == '{"viewers":12345}'
        assert "id" not in told[-1], "it stands in no log: an id would take the viewer past what it has read"


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


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_who_gets_so_many_a_second_has_heartbeats_in_a_quiet_video(start_node: StartNode, encoding: str) -> None:
    """It is looked after once a second, which is no sign of life."""
    node = await start_node(heartbeat_ms=1_500, gzip_viewers_min=1)
    async with viewer(node.port, "/comments/v?max_rate=1", f"Accept-Encoding: {encoding}\r\n") as raw:
        await raw.read_until(b"\n:\n")


@pytest.mark.parametrize("headers", ["", "Accept-Encoding: gzip\r\n"])
async def test_who_asks_for_heartbeats_as_events_gets_them_and_nobody_else(start_node: StartNode, headers: str) -> None:
    node = await start_node(heartbeat_ms=1_000, gzip_viewers_min=1)
    beat = b'event: heartbeat\ndata: {"every_ms":1000}\n\n'
    async with (
        viewer(node.port, "/comments/v?heartbeat=event", headers) as asking,
        viewer(node.port, "/comments/v", headers) as usual,
    ):
        await asking.read_until(beat)  # at once: it says how often they come
        await asking.read_until(asking.body + beat)
        await usual.read_until(b"\n:\n")
        assert b"event: heartbeat" not in usual.body
        assert b"\n:\n" not in asking.body


async def test_skipped_comments_are_told_to_the_slow_readers(start_node: StartNode) -> None:
    node = await start_node()
    async with viewer(node.port, "/comments/v?max_rate=1") as raw:
        node.dispatcher.deliver([comment(n) for n in range(3)])
        await raw.read_until(b'data: {"skipped":2}\n\n')
        assert ids(raw.body) == [comment(0).id]


@pytest.mark.parametrize("form", ["", "max_rate=1", "gzip"])
async def test_old_streams_end_and_their_viewers_have_all(start_node: StartNode, form: str) -> None:
    node = await start_node(stream_age_s_max=3_600, gzip_viewers_min=1)
    path, headers = f"/comments/v?{form}", "Accept-Encoding: gzip\r\n" if form == "gzip" else ""
    began_ms = monotonic_ms()
    async with viewer(node.port, path, headers) as old, viewer(node.port, path, headers) as young:
        (video,) = node.node.served.videos
        (ours,) = [audience for audience in video.audiences.values() if audience.viewers]
        first, second = ours.viewers
        assert first.ends_ms is not None
        assert 1_800_000 <= first.ends_ms - began_ms <= 3_610_000
        second.ends_ms = first.ends_ms + 1
        node.dispatcher.deliver([comment(1)])
        await old.read_until(1)
        node.node.housekeeper.look_after(video, first.ends_ms - 1)
        assert len(node.node.sweeper) == 2
        node.node.housekeeper.look_after(video, first.ends_ms)
        await old.read_to_end()
        *_, last = events(old.body)
        assert last["event"] == "reconnect"
        assert ids(old.body) == [comment(1).id]
        await young.read_until(1)
        assert b"reconnect" not in young.body
    assert node.node.sweeper.statistics().closes["aged"] == 1


async def test_who_is_streamed_to_ends_by_its_age_too(start_node: StartNode, monkeypatch: pytest.MonkeyPatch) -> None:
    node = await start_node(stream_age_s_max=3_600, heartbeat_ms=10)
    asked = parse_stream_request("v", {}, {"accept": "text/event-stream"}, backfill=0, backfill_max=0)

    async def no_socket() -> None:
        return None

    body = await node.node.viewers.enter(asked, no_socket)
    assert body is not None
    await anext(body)
    assert b":\n" in await anext(body)
    now_ms = monotonic_ms()
    monkeypatch.setattr(admission, "monotonic_ms", lambda: now_ms + 3_600_000)
    last = b"".join([chunk async for chunk in body])
    assert [event["event"] for event in events(last)] == ["reconnect"]
    assert len(node.node.viewers) == 0


async def test_an_edition_that_nobody_wants_is_dropped(start_node: StartNode) -> None:
    node = await start_node(gzip_viewers_min=1)
    async with viewer(node.port, "/comments/v"):
        async with viewer(node.port, "/comments/v?max_rate=1", "Accept-Encoding: gzip\r\n"):
            (video,) = node.node.served.videos
            assert len(video.audiences) == 3
        await eventually(lambda: len(video.audiences) == 1)


def broken(*args: object) -> NoReturn:
    raise ValueError("says the test")


async def test_an_error_in_one_video_is_logged_and_stops_no_other(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start_node(feed_linger_ms=0)
    look_after = Housekeeper.look_after

    def broken_for_v(keeper: Housekeeper, video: ServedVideo, now_ms: int) -> int | None:
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
            once.setattr(ServedVideos, "take_touched", broken)
            await eventually(lambda: any("is begun again" in line["event"] for line in lines))
        async with viewer(node.port, "/comments/v"):
            pass
        await eventually(lambda: node.dispatcher.interest == {"v": False})
    failed = [line for line in lines if "is begun again" in line["event"]]
    assert {(line["task"], line["reason"]) for line in failed} == {("housekeeping", "ValueError('says the test')")}


class Told(Sweeper):
    """Sends nothing, and remembers what was told. A sweep takes no time."""

    now_ms = 0

    def __init__(self) -> None:
        self.changed = set()
        self.told: list[tuple[int, str, bytes]] = []

    def send_aside(self, audience: Audience, data: bytes) -> None:
        if audience.viewers:
            self.told.append((self.now_ms, audience.video_id, data))
            audience.sent_ms = self.now_ms

    def publish(self, audience: Audience) -> None:
        if audience.viewers:
            self.told.append((self.now_ms, audience.video_id, b"published"))
            audience.sent_ms = self.now_ms


class Some(ServedVideos):
    """Three videos that are open"""

    def __init__(self, sweeper: Told) -> None:
        self._sweeper = sweeper
        self._videos, self._unreported, self._touched = {}, set(), set()
        for name in "abc":
            video = self._videos[name] = ServedVideo(name, sweeper, lambda video, viewer: None)
            video.open(Feed(LIMITS, [], 0, 0))
            sweeper.changed.add(name)

    def drop(self, video: ServedVideo) -> None:
        video.state = State.DROPPED
        del self._videos[video.video_id]
        assert isinstance(self._sweeper, Told)
        self._sweeper.told.append((self._sweeper.now_ms, video.video_id, b"dropped"))


class World:
    """A housekeeper and its videos, at a time that the test gives"""

    def __init__(self) -> None:
        self.sweeper = Told()
        self.served = Some(self.sweeper)
        self.keeper = Housekeeper(SETTINGS, self.served, self.sweeper)
        self.looks = 0

    def happens(self, name: str, what: str, number: int) -> None:
        video = self.served._videos.get(name)
        if video is None:
            return
        if what in ("come", "come limited"):
            audience = video.audience(Form(5 if what == "come limited" else None), 5)
            audience.viewers.append(None)  # type: ignore[arg-type]
            audience.sent_ms = max(audience.sent_ms % 1, self.sweeper.now_ms)
            self.sweeper.changed.add(name)
        elif what == "go":
            for audience in video.audiences.values():
                if audience.viewers:
                    audience.viewers.pop()
                    self.sweeper.changed.add(name)
        elif what == "totals":
            self.served.set_totals({name: number})
        elif what == "comment":
            for audience in video.audiences.values():
                self.sweeper.publish(audience)

    def walk(self) -> None:
        """The naive way: looks after all videos in each round"""
        for video in list(self.served.videos):
            self.keeper.look_after(video, self.sweeper.now_ms)
            self.looks += 1

    def round(self) -> None:
        for video in self.keeper.due(self.sweeper.now_ms):
            self.keeper.plan(video, self.keeper.look_after(video, self.sweeper.now_ms))
            self.looks += 1


SETTINGS = RmsSettings(_cli_parse_args=False, heartbeat_ms=7_000, feed_linger_ms=3_000)  # type: ignore[call-arg]


@given(
    st.lists(
        st.lists(
            st.tuples(
                st.sampled_from("abc"),
                st.sampled_from(["come", "come limited", "go", "totals", "comment"]),
                st.sampled_from([0, 1, 2, 900, 901, 905, 1_000]),
            ),
            max_size=3,
        ),
        max_size=60,
    )
)
async def test_it_does_what_a_walk_over_all_videos_would_do_and_when(rounds: list[list[tuple[str, str, int]]]) -> None:
    await asyncio.sleep(0)
    naive, ours = World(), World()
    for number, changes in enumerate([*rounds, *[[]] * 20]):
        for world in (naive, ours):
            world.sweeper.now_ms = (number + 1) * ROUND_MS
            for change in changes:
                world.happens(*change)
        naive.walk()
        ours.round()
        assert sorted(ours.sweeper.told) == sorted(naive.sweeper.told)


async def test_a_quiet_video_is_looked_after_once_a_heartbeat() -> None:
    world = World()
    for name in "abc":
        world.happens(name, "come", 0)
    for number in range(1, 71):
        world.sweeper.now_ms = number * ROUND_MS
        world.round()
    assert world.looks == 3 * (1 + 10), "and 210 by a walk"
    assert len(world.keeper._queue) <= 6
