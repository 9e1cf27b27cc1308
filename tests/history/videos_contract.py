"""What every store promises about videos. Derived as contract.py's class is; the same fixtures."""

import asyncio
from dataclasses import replace

import pytest

from history.clocks import wall_ms
from history.config import StoreSettings
from history.core.model import Author
from history.core.video import Video
from history.opening import open_reader, open_store
from history.store import History
from tests.waiting import eventually


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

    async def test_many_are_found_at_once(self, store: History, video: str) -> None:
        added = [Video(f"{video}-{n}", f"title {n}", Author("ann", "Ann"), n) for n in range(150)]
        for each in added:
            await store.add_video(each)
        wanted = [*(each.id for each in added), f"{video}-unknown", 'it\'s "quoted"']
        assert sorted(await store.videos(wanted), key=lambda each: each.created_at_ms) == added
        assert await store.videos([]) == []

    async def test_others_learn_what_was_added_and_changed(self, store: History, url: str, video: str) -> None:
        before_ms = wall_ms()
        other = await open_store(url)

        async def news(since_ms: int) -> list[Video]:
            changed = await other.changed_videos(since_ms, wall_ms())
            assert changed is not None
            return [each for each in changed if each.id == video]

        planned = Video(video, "title", None, 1_000)
        await store.add_video(planned)
        assert planned in await news(before_ms)
        over = replace(planned, ended_at_ms=3_000)
        await store.change_video(planned, over)
        assert set(await news(before_ms)) == {over}
        await eventually(lambda: wall_ms() > before_ms + 5)
        after_ms = wall_ms() + 1
        assert await news(after_ms) == []
        await eventually(lambda: wall_ms() > after_ms)
        assert await store.change_video(over, over)  # as if the one before it had died before it announced anything
        assert over in await news(after_ms)
        await other.close()

    async def test_too_many_changes_are_not_told_one_by_one(self, store: History, url: str, video: str) -> None:
        before_ms = wall_ms()
        for n in range(4):
            await store.add_video(Video(f"{video}-{n}", "title", None, 1))
        some = await open_store(url, StoreSettings(video_notices_max=3))
        assert await some.changed_videos(before_ms, wall_ms()) is None
        await some.close()

    async def test_title_plan_and_recording_are_compared_and_set(self, store: History, url: str, video: str) -> None:
        planned = Video(video, "title", None, 1_000, planned_at_ms=5_000)
        await store.add_video(planned)
        assert await store.video(video) == planned
        shown = replace(planned, title="Titel 🎈", planned_at_ms=None, playback_url="https://cdn.example/talk.m3u8")
        assert await store.change_video(planned, shown)
        assert not await store.change_video(planned, replace(planned, title="another"))
        again = replace(shown, playback_url=None)
        assert await store.change_video(shown, again)
        assert not await store.change_video(shown, planned)
        reader = await open_reader(url)
        assert await reader.videos([video, "no-such-video"]) == [again]
        changed = await reader.changed_videos(wall_ms() - 60_000, wall_ms())
        assert changed is not None
        assert again in changed
        await reader.close()

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
