"""VideoGate: ended videos refuse, and a busy one costs hardly a read"""

import asyncio
from dataclasses import replace

import pytest

from comment_service.core.errors import VideoEnded, VideoUnknown
from comment_service.videos import gate as video_gate
from comment_service.videos.gate import GateSettings, VideoGate
from history.core.video import Video
from history.store import StoreUnavailable

LIVE = Video("demo", "A talk", None, 1, 2)
ENDED = replace(LIVE, ended_at_ms=3)
SETTINGS = GateSettings(ended="refuse", unknown="accept", fresh_ms=100, stale_ms=500, look_ms=5_000, videos_max=3)


class Records:
    def __init__(self, video: Video | None) -> None:
        self.video = video
        self.reads = 0
        self.go = asyncio.Event()
        self.go.set()
        self.away = False

    async def read(self, video_id: str) -> Video | None:
        self.reads += 1
        await self.go.wait()
        if self.away:
            raise StoreUnavailable("away")
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
    records = Records(LIVE)
    gate = VideoGate(records.read, SETTINGS)
    await asyncio.gather(*(gate.check("demo") for _ in range(10_000)))
    await gate.check("demo")
    assert records.reads == 1


async def test_an_ended_video_refuses(clock: Clock) -> None:
    gate = VideoGate(Records(ENDED).read, SETTINGS)
    for _ in range(2):
        with pytest.raises(VideoEnded):
            await gate.check("demo")
    await VideoGate(Records(ENDED).read, replace(SETTINGS, ended="accept")).check("demo")


async def test_an_unknown_video_as_the_operator_wishes(clock: Clock) -> None:
    await VideoGate(Records(None).read, SETTINGS).check("demo")
    with pytest.raises(VideoUnknown):
        await VideoGate(Records(None).read, replace(SETTINGS, unknown="refuse")).check("demo")


async def test_nothing_is_asked_when_everything_is_accepted(clock: Clock) -> None:
    records = Records(ENDED)
    await VideoGate(records.read, replace(SETTINGS, ended="accept")).check("demo")
    assert records.reads == 0


async def test_an_end_elsewhere_is_known_behind_and_nobody_waits_for_it(clock: Clock) -> None:
    records = Records(LIVE)
    gate = VideoGate(records.read, SETTINGS)
    await gate.check("demo")
    records.video = ENDED
    clock.now_ms += 100
    records.go.clear()
    await gate.check("demo")  # the old look answers
    await gate.check("demo")
    records.go.set()
    await settled(gate)
    assert records.reads == 2
    with pytest.raises(VideoEnded):
        await gate.check("demo")


async def test_after_a_long_silence_the_old_look_counts_no_more(clock: Clock) -> None:
    records = Records(LIVE)
    gate = VideoGate(records.read, SETTINGS)
    await gate.check("demo")
    records.video = ENDED
    clock.now_ms += 500
    with pytest.raises(VideoEnded):
        await gate.check("demo")


@pytest.mark.parametrize("fault", ["away", "slow"])
async def test_a_store_that_does_not_answer_changes_nothing(clock: Clock, fault: str) -> None:
    records = Records(ENDED)
    gate = VideoGate(records.read, replace(SETTINGS, look_ms=10))
    records.away = fault == "away"
    if fault == "slow":
        records.go.clear()
    await gate.check("never-seen")
    gate.learn(ENDED)
    clock.now_ms += 500
    with pytest.raises(VideoEnded):
        await gate.check("demo")


async def test_what_is_stored_here_is_known_at_once(clock: Clock) -> None:
    records = Records(LIVE)
    gate = VideoGate(records.read, SETTINGS)
    await gate.check("demo")
    gate.learn(ENDED)
    with pytest.raises(VideoEnded):
        await gate.check("demo")
    assert records.reads == 1


async def test_few_are_remembered(clock: Clock) -> None:
    gate = VideoGate(Records(LIVE).read, SETTINGS)
    for n in range(10):
        await gate.check(f"video-{n}")
        assert len(gate._looks) <= 3


async def test_an_author_who_goes_does_not_end_the_look(clock: Clock) -> None:
    records = Records(LIVE)
    records.go.clear()
    gate = VideoGate(records.read, SETTINGS)
    gone, stays = (asyncio.create_task(gate.check("demo")) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    records.go.set()
    await stays
    assert records.reads == 1
