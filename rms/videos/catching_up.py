"""Reads from history what a video may have missed, for as long as a dispatcher or history was away.

Where the feed has forgotten which comments it has had, its viewers are sent a gap.
"""

import asyncio

from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from history.core.ids import first_id_at
from history.store import StoreUnavailable
from proto.tasks import Supervisor
from rms.clocks import wall_ms
from rms.config import RmsSettings
from rms.videos.past import Past
from rms.videos.video import ServedVideo, State

CATCH_UP_PAGE = 500
"""comments in one read"""


class CatchingUp:
    def __init__(self, settings: RmsSettings, past: Past, tasks: Supervisor) -> None:
        self._settings = settings
        self._past = past
        self._tasks = tasks
        self._under_way: set[ServedVideo] = set()
        self._reads = asyncio.Semaphore(settings.catch_up_reads)

    def __len__(self) -> int:
        """videos that are catching up"""
        return len(self._under_way)

    def start(self, video: ServedVideo) -> None:
        """Begins to read what the video lacks. Idempotent: each video has one task, however often it is behind."""
        if video.is_behind and video not in self._under_way:
            self._under_way.add(video)
            self._tasks.keep(f"catch-up of {video.video_id}", lambda: self._catch_up(video))

    def hold_live(self, video: ServedVideo) -> None:
        """Buffers live comments, so that they come behind what the catch-up reads; at most for `catch_up_hold_ms`. To
        be called while the video is behind."""
        if video.state is State.LIVE:
            video.hold_live()
            # It may end a later hold, which is a shorter one then.
            asyncio.get_running_loop().call_later(self._settings.catch_up_hold_ms / 1000, video.flush)

    async def _catch_up(self, video: ServedVideo) -> None:
        """Tries until nothing is missing, or the video is dropped."""
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(StoreUnavailable),
            wait=wait_random_exponential(multiplier=0.1, max=self._settings.catch_up_retry_ms_max / 1000),
        ):
            with attempt:
                await asyncio.wait([video.opened])
                while _needs(video):
                    await self._read_all(video)
                self._under_way.discard(video)  # at once: what is missed from now on needs a new task

    async def _read_all(self, video: ServedVideo) -> None:
        """Raises StoreUnavailable; the video is still behind then. In any case live comments wait no longer."""
        try:
            while _needs(video):
                async with self._reads:
                    if video.state is State.DROPPED:
                        return  # while it waited for its turn
                    if video.lacks_past:
                        await self._read_past(video)
                    else:
                        await self._read_missed(video)
        finally:
            video.flush()

    async def _read_past(self, video: ServedVideo) -> None:
        seed, _ = await self._past.seed(video.video_id, self._settings.backfill, wall_ms())
        for comment in seed:
            video.append(comment)
        video.lacks_past = False

    async def _read_missed(self, video: ServedVideo) -> None:
        assert video.missed_from is not None
        # Comments from before the feed began are new to none of its viewers.
        from_id = max(video.missed_from, video.feed.complete_from)
        video.missed_from = None
        rest_from: int | None = from_id
        try:
            rest_from = await self._read_page(video, from_id)
        finally:
            if rest_from is not None:
                video.miss(rest_from)  # beside what has been missed meanwhile

    async def _read_page(self, video: ServedVideo, from_id: int) -> int | None:
        """Returns the id from which on there is more to read; None: there isn't."""
        remembered_id = first_id_at(wall_ms() - self._settings.dedupe_ms)
        forgotten = from_id < remembered_id and await self._has_comments(video, from_id, remembered_id)
        up_to = video.feed.read_begins(wall_ms())
        page = await self._past.since(video.video_id, max(from_id, remembered_id), CATCH_UP_PAGE)
        if forgotten:
            # So far back the feed can't tell what it has missed from what it has had. Its viewers are sent a gap, which
            # they can fill from pages: otherwise they would get all comments of that time a second time.
            video.announce_gap(from_id, remembered_id)
        for event in page:
            video.append(event)
        rest_from = page[-1].id + 1 if len(page) == CATCH_UP_PAGE else None
        if rest_from is not None:
            up_to = {service: min(high, rest_from - 1) for service, high in up_to.items()}
        video.feed.read_ended(from_id, up_to)
        return rest_from

    async def _has_comments(self, video: ServedVideo, from_id: int, to_id: int) -> bool:
        first = await self._past.since(video.video_id, from_id, 1)
        return bool(first) and first[0].id < to_id


def _needs(video: ServedVideo) -> bool:
    return video.is_behind and video.state is not State.DROPPED
