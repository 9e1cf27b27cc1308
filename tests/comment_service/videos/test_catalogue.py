"""Catalogue: whatever others change in between, a video is created once and goes one way"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from comment_service.core.errors import VideoEnded, VideoExists, VideoUnknown
from comment_service.videos.catalogue import Catalogue
from comment_service.videos.gate import GateSettings, VideoGate
from history.core.video import Order, State, Video
from history.opening import open_store
from history.store import History

PLANNED = Video("demo", "A talk", None, 1_000)


@pytest.fixture
async def history(tmp_path: Path) -> AsyncIterator[History]:
    history = await open_store(f"sqlite:{tmp_path}/comments.db")
    yield history
    await history.close()


def catalogue(history: History) -> tuple[Catalogue, VideoGate]:
    gate = VideoGate(lambda: history, GateSettings("refuse", "refuse", 60_000, 30_000, 5_000, 10))
    return Catalogue(lambda: history, gate), gate


async def test_created_twice_it_is_created_once(history: History) -> None:
    videos, gate = catalogue(history)
    with pytest.raises(VideoUnknown):
        await videos.get("demo")
    assert await videos.create(PLANNED) == PLANNED
    assert gate.is_checked("demo")  # without a look
    again = Video("demo", "A talk", None, 2_000)
    assert await videos.create(again) == PLANNED
    with pytest.raises(VideoExists):
        await videos.create(Video("demo", "Another", None, 1_000))


async def test_orders_that_meet_are_obeyed_one_after_the_other(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    videos, gate = catalogue(history)
    await videos.create(PLANNED)
    change, both_have_read = history.change_video, asyncio.Barrier(2)

    async def meeting(before: Video, after: Video) -> bool:
        if before == PLANNED:
            await both_have_read.wait()
        return await change(before, after)

    monkeypatch.setattr(history, "change_video", meeting)
    outcomes = await asyncio.gather(
        videos.order("demo", Order.START, 2_000), videos.order("demo", Order.END, 3_000), return_exceptions=True
    )
    assert isinstance(outcomes[1], Video)
    assert outcomes[1].state is State.ENDED
    assert isinstance(outcomes[0], Video | VideoEnded)  # whichever came first
    assert await videos.get("demo") == outcomes[1]
    with pytest.raises(VideoEnded):
        gate.is_checked("demo")
