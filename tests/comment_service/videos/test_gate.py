"""VideoGate: ended videos refuse, any number of videos costs hardly a read, and what others change comes by itself"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from comment_service.core.errors import VideoEnded, VideoUnknown
from comment_service.videos import gate as video_gate
from comment_service.videos.gate import GateSettings, VideoGate
from history.core.video import Video
from history.store import StoreUnavailable
from tests.waiting import eventually

LIVE = Video("demo", "A talk", None, 1, 2)
ENDED = replace(LIVE, ended_at_ms=3)
SETTINGS = GateSettings(ended="refuse", unknown="accept", news_ms=1, overlap_ms=30_000, look_ms=5_000, videos_max=3)


class Records:
    """Videos of a store that can be held, cut off, or broken. What it answers was so when it was asked."""

    def __init__(self, *videos: Video) -> None:
        self.videos_by_id = {video.id: video for video in videos}
        self.looks: list[list[str]] = []
        self.asked_since: list[int] = []
        self.changes: list[Video] | None = []
        self.go = asyncio.Event()
        self.go.set()
        self.error: Exception | None = None

    def change(self, video: Video) -> None:
        self.videos_by_id[video.id] = video
        assert self.changes is not None
        self.changes.append(video)

    async def videos(self, video_ids: Sequence[str]) -> list[Video]:
        self.looks.append(list(video_ids))
        found = [self.videos_by_id[each] for each in video_ids if each in self.videos_by_id]
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return found

    async def changed_videos(self, since_ms: int, now_ms: int) -> list[Video] | None:
        self.asked_since.append(since_ms)
        if self.error is not None:
            raise self.error
        return self.changes if self.changes is None else list(self.changes)

    async def video(self, video_id: str) -> Video | None:
        raise NotImplementedError

    async def add_video(self, video: Video) -> bool:
        raise NotImplementedError

    async def change_video(self, before: Video, after: Video) -> bool:
        raise NotImplementedError


def gate_of(records: Records, settings: GateSettings = SETTINGS) -> VideoGate:
    return VideoGate(lambda: records, settings)


@asynccontextmanager
async def following(gate: VideoGate) -> AsyncIterator[None]:
    task = asyncio.create_task(gate.follow())
    yield
    task.cancel()
    await asyncio.wait([task])


async def another_read(records: Records) -> None:
    """Returns when a whole read of the news has begun and ended."""
    asked = len(records.asked_since)
    await eventually(lambda: len(records.asked_since) >= asked + 3)


async def test_ten_thousand_comments_cost_one_look() -> None:
    records = Records(LIVE)
    gate = gate_of(records)
    await asyncio.gather(*(gate.check("demo") for _ in range(10_000)))
    assert gate.is_checked("demo")
    assert records.looks == [["demo"]]


async def test_all_videos_of_one_moment_cost_one_look_and_those_after_it_another() -> None:
    records = Records(LIVE)
    records.go.clear()
    gate = gate_of(records, replace(SETTINGS, videos_max=1_000))
    checks = [asyncio.create_task(gate.check(f"video-{n % 300}")) for n in range(600)]
    await eventually(lambda: len(records.looks) == 1)
    checks += [asyncio.create_task(gate.check(f"later-{n}")) for n in range(200)]
    await asyncio.sleep(0)
    records.go.set()
    await asyncio.gather(*checks)
    assert [len(look) for look in records.looks] == [300, 200]
    assert all(gate.is_checked(f"video-{n}") for n in range(300))


async def test_expected_videos_are_looked_up_together_before_anybody_comments() -> None:
    records = Records(LIVE, replace(ENDED, id="over"))
    gate = gate_of(records)
    for _ in range(3):
        for video_id in ("demo", "over", "new"):
            gate.expect(video_id)
    async with following(gate):
        await eventually(lambda: bool(records.looks))
        await another_read(records)
        assert gate.is_checked("demo")
        assert gate.is_checked("new")
        with pytest.raises(VideoEnded):
            gate.is_checked("over")
    assert [sorted(look) for look in records.looks] == [["demo", "new", "over"]]


async def test_so_many_are_expected_as_are_remembered() -> None:
    records = Records()
    gate = gate_of(records)
    for number in range(10):
        gate.expect(str(number))
    async with following(gate):
        await eventually(lambda: bool(records.looks))
    assert records.looks == [["0", "1", "2"]]


async def test_an_ended_video_refuses() -> None:
    gate = gate_of(Records(ENDED))
    for _ in range(2):
        with pytest.raises(VideoEnded):
            await gate.check("demo")
    await gate_of(Records(ENDED), replace(SETTINGS, ended="accept")).check("demo")


async def test_an_unknown_video_as_configured() -> None:
    await gate_of(Records()).check("demo")
    with pytest.raises(VideoUnknown):
        await gate_of(Records(), replace(SETTINGS, unknown="refuse")).check("demo")


async def test_nothing_is_asked_when_everything_is_accepted() -> None:
    records = Records(ENDED)
    gate = gate_of(records, replace(SETTINGS, ended="accept"))
    await gate.check("demo")
    await gate.follow()  # it has nothing to do
    assert not records.looks
    assert not records.asked_since


async def test_what_others_change_is_noticed_without_a_look() -> None:
    records = Records(LIVE)
    gate = gate_of(records, replace(SETTINGS, unknown="refuse"))
    async with following(gate):
        await gate.check("demo")
        with pytest.raises(VideoUnknown):
            await gate.check("other")
        records.change(ENDED)
        records.change(Video("other", "Another", None, 1))
        records.change(Video("never-asked", "Another", None, 1))
        await another_read(records)
        with pytest.raises(VideoEnded):
            gate.is_checked("demo")
        assert gate.is_checked("other")
        assert not gate.is_checked("never-asked")
    assert len(records.looks) == 2


async def test_a_look_that_a_change_has_overtaken_is_put_right() -> None:
    records = Records(LIVE)
    gate = gate_of(records)
    async with following(gate):
        records.go.clear()
        check = asyncio.create_task(gate.check("demo"))
        await eventually(lambda: len(records.looks) == 1)
        records.change(ENDED)
        await another_read(records)
        records.go.set()
        await check  # what was so when it was asked
        await another_read(records)
        with pytest.raises(VideoEnded):
            gate.is_checked("demo")


@pytest.mark.parametrize("fault", [StoreUnavailable("away"), ZeroDivisionError("a fault"), None])
async def test_a_store_that_does_not_answer_lets_in_who_is_not_known(fault: Exception | None) -> None:
    records = Records(ENDED, Video("never-seen", "", None, 1, 2, 3))
    gate = gate_of(records, replace(SETTINGS, look_ms=10))
    gate.learn(ENDED)
    records.error = fault
    if fault is None:  # slow
        records.go.clear()
    with capture_logs() as lines:
        await gate.check("never-seen")
        await eventually(lambda: not gate._one_look.locked())
        assert gate.is_checked("never-seen")
        with pytest.raises(VideoEnded):
            await gate.check("demo")
    faults = 1 if isinstance(fault, ZeroDivisionError) else 0
    assert [line["event"] for line in lines] == ["look at videos failed"] * faults
    records.error = None
    records.go.set()
    async with following(gate):
        await another_read(records)
        with pytest.raises(VideoEnded):
            await gate.check("never-seen")  # looked up again


async def test_an_author_waits_for_a_slow_look_no_longer_than_for_his_own() -> None:
    records = Records(LIVE)
    records.go.clear()
    gate = gate_of(records, replace(SETTINGS, look_ms=20))
    first = asyncio.create_task(gate.check("demo"))
    await eventually(lambda: len(records.looks) == 1)
    await gate.check("other")  # whose look hasn't even begun
    assert len(records.looks) <= 2
    await first


async def test_news_are_read_from_before_the_last_read_that_succeeded(monkeypatch: pytest.MonkeyPatch) -> None:
    now_ms = 1_000_000
    monkeypatch.setattr(video_gate, "wall_ms", lambda: now_ms)
    records = Records()
    gate = gate_of(records)
    async with following(gate):
        await another_read(records)
        records.error = StoreUnavailable("away")
        now_ms = 2_000_000
        await another_read(records)
        records.error = None
        await another_read(records)
    assert set(records.asked_since) == {970_000, 1_970_000}
    assert records.asked_since == sorted(records.asked_since)


async def test_after_a_time_with_a_clock_that_was_ahead_all_news_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    now_ms = 9_000_000
    monkeypatch.setattr(video_gate, "wall_ms", lambda: now_ms)
    records = Records()
    gate = gate_of(records)
    async with following(gate):
        await another_read(records)
        now_ms = 5_000_000
        await another_read(records)
    assert list(dict.fromkeys(records.asked_since)) == [8_970_000, 0, 4_970_000]


async def test_all_are_looked_up_again_when_the_notices_do_not_reach() -> None:
    records = Records(LIVE)
    gate = gate_of(records)
    await gate.check("demo")
    records.videos_by_id["demo"], records.changes = ENDED, None
    async with following(gate):
        await another_read(records)
        assert not gate.is_checked("demo")
        with pytest.raises(VideoEnded):
            await gate.check("demo")


async def test_what_is_stored_here_is_known_at_once() -> None:
    records = Records(LIVE)
    gate = gate_of(records)
    await gate.check("demo")
    gate.learn(ENDED)
    with pytest.raises(VideoEnded):
        await gate.check("demo")
    assert len(records.looks) == 1


async def test_few_are_remembered() -> None:
    records = Records()
    gate = gate_of(records)
    records.error = StoreUnavailable("away")
    for n in range(10):
        await gate.check(f"video-{n}")
        assert len(gate._known) <= 3
        assert gate._unsure == set(gate._known)


async def test_an_author_who_goes_does_not_end_the_look() -> None:
    records = Records(LIVE)
    records.go.clear()
    gate = gate_of(records)
    gone, stays = (asyncio.create_task(gate.check("demo")) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    records.go.set()
    await stays
    assert records.looks == [["demo"]]
