"""Which videos this node serves: the first viewer in opens a feed, and a while after the last one it is dropped.

The order in which a feed opens is what keeps comments from falling between history and the live stream:
1. the interest is announced, and every connected dispatcher has acknowledged it: what is published from now on comes;
2. history is read: what was published before was durable before, so the read sees it;
3. what has come since step 1 is appended. The feed drops doubles by id.
The same holds after a dispatcher was away: it says from which id on something may have been missed, and that is read.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

import structlog

from history.core.ids import first_id_at
from history.core.model import Comment, Erasure
from history.store import StoreUnavailable
from rms.clocks import wall_ms
from rms.config import RmsSettings
from rms.feed.feed import Feed
from rms.sending.audience import Audience
from rms.sending.sweep import Sweeper
from rms.videos.background import Background
from rms.videos.catching_up import CatchingUp
from rms.videos.entering import Entering
from rms.videos.past import Past
from rms.videos.request import Form
from rms.videos.video import ServedVideo

log = structlog.stdlib.get_logger()


class TooManyVideos(Exception):
    """This node serves as many videos as it may."""


class Interest(Protocol):
    """Tells the dispatchers which videos are served here."""

    async def join(self, video_id: str) -> None:
        """Returns when every connected dispatcher routes the video's comments here."""

    def leave(self, video_id: str) -> None: ...


class ServedVideos:
    def __init__(self, settings: RmsSettings, past: Past, sweeper: Sweeper) -> None:
        self._settings = settings
        self._past = past
        self._sweeper = sweeper
        self._interest: Interest
        self._videos: dict[str, ServedVideo] = {}
        self._background = Background()
        self._catching_up = CatchingUp(settings, past, self._background)
        self.entering = Entering(settings, past, sweeper, self._background)
        """of viewers in these videos"""
        self._told: dict[str, int] = {}  # viewers of each video, as last told to the dispatchers
        self.useless = 0
        """comments that came for videos not served here"""
        self.late = 0
        """comments that came too late to tell whether they were here"""

    def use(self, interest: Interest) -> None:
        """To be called once, before the first viewer."""
        self._interest = interest

    def __len__(self) -> int:
        """videos served"""
        return len(self._videos)

    # Viewers

    async def enter(self, video_id: str) -> ServedVideo:
        """The video's video, open; opened now if need be, once however many wait. The caller has a hold on it: a viewer
        on its way in, or a streamed one. Give it back with `release`. Raises TooManyVideos."""
        video = self._videos.get(video_id)
        if video is None:
            if len(self._videos) >= self._settings.videos_max:
                raise TooManyVideos
            video = self._videos[video_id] = ServedVideo(video_id, self._sweeper, self.entering.fallen)
            video.opened = asyncio.create_task(self._open(video))
        video.holds += 1
        try:
            await asyncio.shield(video.opened)
        except BaseException:
            video.holds -= 1
            raise
        return video

    def release(self, video: ServedVideo) -> None:
        video.holds -= 1

    async def _open(self, video: ServedVideo) -> None:
        await self._interest.join(video.video_id)
        now_ms = wall_ms()
        try:
            seed, complete_from = await self._past.seed(video.video_id, self._settings.backfill_max, now_ms)
        except StoreUnavailable as away:
            # People go on talking: the live comments come, and the past follows when it can be read.
            log.warning("feed opened without its past", video=video.video_id, reason=str(away))
            seed, complete_from = [], first_id_at(now_ms)
            video.lacks_past = True
        video.open(Feed(self._settings.feed_limits(), seed, complete_from, now_ms))
        self._catching_up.fill(video)

    def audience(self, video: ServedVideo, form: Form) -> Audience:
        """Those here who want it like this"""
        return video.audience(form, self._settings.backfill_max)

    # Comments

    def deliver(self, comments: Iterable[Comment | Erasure]) -> None:
        """Live comments, as they come, and the word that some are erased; doubles are dropped."""
        late: dict[ServedVideo, list[int]] = {}
        for comment in comments:
            video = self._videos.get(comment.video_id)
            if video is None:
                self.useless += 1
            elif video.is_open and video.is_too_late(comment):
                late.setdefault(video, []).append(comment.id)
            elif video.pending is None:
                video.append(comment)
            elif len(video.pending) < self._settings.opening_comments_max:
                video.pending.append(comment)
            else:
                video.overflow_id = min(video.overflow_id or comment.id, comment.id)
        for video, ids in late.items():  # they are in history, as all is that is published
            self.late += len(ids)
            video.forgo(min(ids), max(ids) + 1)

    def catch_up(self, from_id: int, live_waits: bool) -> None:
        """Comments from this id on may have been missed, in any video: reads them, however long the store is away.

        live_waits: what comes meanwhile goes behind them, but waits no longer than `catch_up_hold_ms`.
        """
        for video in list(self._videos.values()):
            video.miss(from_id)
            if live_waits:
                self._catching_up.hold(video)
            self._catching_up.fill(video)

    # What the dispatchers are told

    def serving(self) -> dict[str, int]:
        """Viewers of every video served here. What `changed_viewers` says next is told against this."""
        self._told = {video.video_id: video.viewers for video in self._videos.values()}
        return dict(self._told)

    def changed_viewers(self) -> tuple[dict[str, int], int]:
        """The videos whose number of viewers has changed since last asked, and the viewers of all videos together"""
        now = {video.video_id: video.viewers for video in self._videos.values()}
        changed = {video_id: viewers for video_id, viewers in now.items() if viewers != self._told.get(video_id)}
        self._told = now
        return changed, sum(now.values())

    def count(self, viewers: Mapping[str, int]) -> None:
        """How many watch these videos on all nodes together, says a dispatcher."""
        for video_id, total in viewers.items():
            video = self._videos.get(video_id)
            if video is not None:
                video.total_viewers = total

    # What time brings about

    @property
    def videos(self) -> Collection[ServedVideo]:
        return self._videos.values()

    def drop(self, video: ServedVideo) -> None:
        """The video is served no longer."""
        if video.served:
            video.served = False
            del self._videos[video.video_id]
            self._told.pop(video.video_id, None)
            self._interest.leave(video.video_id)

    async def close(self) -> None:
        opening = [video.opened for video in self._videos.values()]
        for task in opening:
            task.cancel()
        await asyncio.gather(self._background.close(), *opening, return_exceptions=True)
