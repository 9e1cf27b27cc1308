"""What every store promises about videos. Derived as contract.py's class is; the same fixtures."""

import asyncio
from dataclasses import replace

import pytest

from history.core.model import Author
from history.core.video import Video
from history.opening import open_store
from history.store import History


@pytest.mark.asyncio(loop_scope="module")
class VideosContract:
    async def test_a_video_comes_back_as_it_was(self, store: History, video: str) -> None:
        assert await store.video(video) is None
        planned = Video(video, "Grüße 🎈", Author("ann", "Ann ' ;"), 1_000)
        live = Video(f"{video}-2", "", None, 1_000, 2_000)
        assert await store.add_video(planned)
        assert await store.add_video(live)
        assert await store.video(video) == planned
        assert await store.video(f"{video}-2") == live

    async def test_a_video_is_added_once(self, store: History, url: str, video: str) -> None:
        other = await open_store(url)
        tries = [Video(video, f"title {n}", None, 1_000) for n in range(6)]
        added = await asyncio.gather(
            *((store, other)[n % 2].add_video(each) for n, each in enumerate(tries)),
        )
        assert sum(added) == 1
        assert await store.video(video) == tries[added.index(True)]
        await other.close()

    async def test_times_are_compared_and_set(self, store: History, video: str) -> None:
        planned = Video(video, "title", None, 1_000)
        live, over = replace(planned, started_at_ms=2_000), replace(planned, started_at_ms=2_000, ended_at_ms=3_000)
        await store.add_video(planned)
        changed = await asyncio.gather(*(store.change_video(planned, live) for _ in range(4)))
        assert sum(changed) == 1
        assert not await store.change_video(planned, over)
        assert await store.video(video) == live
        assert await store.change_video(live, over)
        assert await store.video(video) == over
        assert not await store.change_video(Video("no-such-video", "", None, 0), over)
        assert await store.video("no-such-video") is None
