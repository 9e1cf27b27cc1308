"""What a video may have missed is read from history, for as long as that takes: a dispatcher was away, or history was.

Where the feed can't tell any more what it has had, its viewers are told of a gap.
"""

import asyncio

from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from history.core.ids import first_id_at
from history.store import StoreUnavailable
from rms.clocks import wall_ms
from rms.config import RmsSettings
from rms.videos.background import Background
from rms.videos.past import Past
from rms.videos.video import ServedVideo

CATCH_UP_PAGE = 500
"""comments in one read"""


class CatchingUp:
    def __init__(self, settings: RmsSettings, past: Past, background: Background) -> None:
        self._settings = settings
        self._past = past
        self._background = background
        self._reads = asyncio.Semaphore(settings.catch_up_reads)

    def fill(self, video: ServedVideo) -> None:
        """Reads what the video lacks. One task a video, however often and for however long it is behind."""
        if video.is_behind and not video.catching_up:
            video.catching_up = True
            self._background.begin(self._catch_up(video))

    def hold(self, video: ServedVideo) -> None:
        """Lets live comments wait for the catch-up, so that they come behind what was said before them, but not for
        long. To be called while the video is behind."""
        if video.is_open and video.pending is None:
            video.hold()
            # It may find a later hold, which is then a shorter one.
            asyncio.get_running_loop().call_later(self._settings.catch_up_hold_ms / 1000, video.go_on)

    async def _catch_up(self, video: ServedVideo) -> None:
        """Tries until nothing is missing, or nobody is left to miss it."""
        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type(StoreUnavailable),
                wait=wait_random_exponential(multiplier=0.1, max=self._settings.catch_up_retry_ms_max / 1000),
            ):
                with attempt:
                    await asyncio.shield(video.opened)
                    while video.is_behind and video.served:
                        await self._read_all(video)
        finally:
            video.catching_up = False

    async def _read_all(self, video: ServedVideo) -> None:
        """Raises StoreUnavailable; then the video is still behind. In any case live comments wait no longer."""
        try:
            while video.is_behind and video.served:
                async with self._reads:
                    if not video.served:
                        return  # no longer, when its turn came
                    if video.lacks_past:
                        await self._read_past(video)
                    else:
                        await self._read_missed(video)
        finally:
            video.go_on()

    async def _read_past(self, video: ServedVideo) -> None:
        seed, _ = await self._past.seed(video.video_id, self._settings.backfill, wall_ms())
        video.lacks_past = False
        for comment in seed:
            video.append(comment)

    async def _read_missed(self, video: ServedVideo) -> None:
        # What was said before this feed began isn't new to anybody who came since.
        rest_from, video.missed_from = max(video.missed_from, video.feed.complete_from), 0
        try:
            rest_from = await self._read_page(video, rest_from)
        finally:
            video.miss(rest_from)  # beside what has been missed meanwhile

    async def _read_page(self, video: ServedVideo, from_id: int) -> int:
        """Returns the id from which on there is more to read; 0: there isn't."""
        remembered_id = first_id_at(wall_ms() - self._settings.dedupe_ms)
        forgotten = from_id < remembered_id and await self._has_comments(video, from_id, remembered_id)
        page = await self._past.since(video.video_id, max(from_id, remembered_id), CATCH_UP_PAGE)
        if forgotten:
            # So far back the feed can't tell what it has missed from what it has forgotten. Its viewers hear of a gap,
            # and may fill it from pages, rather than get all of that time a second time.
            video.forgo(from_id, remembered_id)
        for comment in page:
            video.append(comment)
        return page[-1].id + 1 if len(page) == CATCH_UP_PAGE else 0

    async def _has_comments(self, video: ServedVideo, from_id: int, to_id: int) -> bool:
        first = await self._past.since(video.video_id, from_id, 1)
        return bool(first) and first[0].id < to_id
