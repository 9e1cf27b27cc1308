"""VideoGate: ended videos refuse, and a busy one costs hardly a read"""

import asyncio
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from comment_service.core.errors import VideoEnded, VideoUnknown
from comment_service.videos import gate as video_gate
from comment_service.videos.gate import GateSettings, VideoGate
from history.core.video import Video
from history.store import StoreUnavailable

LIVE = Video("demo", "A talk", None, 1, 2)
ENDED = replace(LIVE, ended_at_ms=3)
SETTINGS = GateSettings(ended="refuse", unknown="accept", fresh_ms=100, stale_ms=500, look_ms=5_000, videos_max=3)


class Reads:
    def __init__(self, video: Video | None) -> None:
        self.video = video
        self.reads = 0
        self.go = asyncio.Event()
        self.go.set()
        self.error: Exception | None = None

    async def read(self, video_id: str) -> Video | None:
        self.reads += 1
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return self.video


class Clock:
    now_ms = 1_000


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(video_gate, "monotonic_ms", lambda: clock.now_ms)
    return clock


async def settled(gate: VideoGate) -> None:
    await asyncio.gather(*gate._looking.values())


async def test_ten_thousand_comments_cost_one_read(clock: Clock) -> None:
    reads = Reads(LIVE)
    gate = VideoGate(reads.read, SETTINGS)
    await asyncio.gather(*(gate.check("demo") for _ in range(10_000)))
    await gate.check("demo")
    assert reads.reads == 1


async def test_an_ended_video_refuses(clock: Clock) -> None:
    gate = VideoGate(Reads(ENDED).read, SETTINGS)
    for _ in range(2):
        with pytest.raises(VideoEnded):
            await gate.check("demo")
    await VideoGate(Reads(ENDED).read, replace(SETTINGS, ended="accept")).check("demo")


async def test_an_unknown_video_as_configured(clock: Clock) -> None:
    await VideoGate(Reads(None).read, SETTINGS).check("demo")
    with pytest.raises(VideoUnknown):
        await VideoGate(Reads(None).read, replace(SETTINGS, unknown="refuse")).check("demo")


async def test_nothing_is_asked_when_everything_is_accepted(clock: Clock) -> None:
    reads = Reads(ENDED)
    await VideoGate(reads.read, replace(SETTINGS, ended="accept")).check("demo")
    assert reads.reads == 0


async def test_an_end_elsewhere_is_noticed_in_the_background(clock: Clock) -> None:
    reads = Reads(LIVE)
    gate = VideoGate(reads.read, SETTINGS)
    await gate.check("demo")
    reads.video = ENDED
    clock.now_ms += 100
    reads.go.clear()
    await gate.check("demo")  # the old look answers
    await gate.check("demo")
    reads.go.set()
    await settled(gate)
    assert reads.reads == 2
    with pytest.raises(VideoEnded):
        await gate.check("demo")


async def test_after_a_long_silence_the_old_look_counts_no_more(clock: Clock) -> None:
    reads = Reads(LIVE)
    gate = VideoGate(reads.read, SETTINGS)
    await gate.check("demo")
    reads.video = ENDED
    clock.now_ms += 500
    with pytest.raises(VideoEnded):
        await gate.check("demo")


@pytest.mark.parametrize("fault", [StoreUnavailable("away"), ZeroDivisionError("a fault"), None])
async def test_a_store_that_does_not_answer_changes_nothing(clock: Clock, fault: Exception | None) -> None:
    reads = Reads(ENDED)
    gate = VideoGate(reads.read, replace(SETTINGS, look_ms=10))
    reads.error = fault
    if fault is None:  # slow
        reads.go.clear()
    with capture_logs() as lines:
        await gate.check("never-seen")
        gate.learn(ENDED)
        clock.now_ms += 500
        with pytest.raises(VideoEnded):
            await gate.check("demo")
    faults = 2 if isinstance(fault, ZeroDivisionError) else 0
    assert [line["event"] for line in lines] == ["look at a video failed"] * faults


async def test_what_is_stored_here_is_known_at_once(clock: Clock) -> None:
    reads = Reads(LIVE)
    gate = VideoGate(reads.read, SETTINGS)
    await gate.check("demo")
    gate.learn(ENDED)
    with pytest.raises(VideoEnded):
        await gate.check("demo")
    assert reads.reads == 1


async def test_few_are_remembered(clock: Clock) -> None:
    gate = VideoGate(Reads(LIVE).read, SETTINGS)
    for n in range(10):
        await gate.check(f"video-{n}")
        assert len(gate._looks) <= 3


async def test_an_author_who_goes_does_not_end_the_look(clock: Clock) -> None:
    reads = Reads(LIVE)
    reads.go.clear()
    gate = VideoGate(reads.read, SETTINGS)
    gone, stays = (asyncio.create_task(gate.check("demo")) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    reads.go.set()
    await stays
    assert reads.reads == 1
