"""Which videos this node serves: a video is opened by its first viewer, and dropped a while after its last one.

The order in which a video is opened keeps comments from falling between history and the live stream:
1. the interest is announced, and every connected dispatcher has acknowledged it: what is published from now on comes;
2. history is read: what was published before was durable before, so the read sees it;
3. what has come since step 1 is appended. The feed drops doubles by id.
The same holds after a dispatcher was away: it tells from which id on something may have been missed, and that is read.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Protocol

import structlog

from history.core.ids import ID_MAX, first_id_at, time_of
from history.store import StoreUnavailable
from proto.tasks import Supervisor, shared
from rms.clocks import wall_ms
from rms.config import RmsSettings
from rms.feed.editions import Form
from rms.feed.event import Event, Promise
from rms.feed.feed import Feed
from rms.feed.position import LATE_MS, service_of
from rms.sending.audience import Audience
from rms.sending.sweep import Sweeper
from rms.videos.catching_up import CatchingUp
from rms.videos.entering import Entering
from rms.videos.past import Past
from rms.videos.video import ServedVideo, State

log = structlog.stdlib.get_logger()

OPENING, LIVE, DROPPED = State.OPENING, State.LIVE, State.DROPPED
"""for loops, as an enum's members are slow to look up"""

CATCH_UPS_AT_ONCE = 500
"""videos that begin a catch-up before the event loop goes on: below 1 ms"""


class CannotOpen(Exception):
    """The video's opening has failed. The reason is logged already; the next viewer tries again."""


class TooManyVideos(Exception):
    """This node serves as many videos as it may."""


class Interest(Protocol):
    """Announces to the dispatchers which videos are served here."""

    async def join(self, video_id: str) -> None:
        """Returns when every connected dispatcher routes the video's comments here."""

    def leave(self, video_id: str) -> None: ...

    def missed_from(self) -> int | None:
        """Events from this id on may have gone by this node, for no dispatcher reaches it. None: one does."""
        ...


class ServedVideos:
    def __init__(self, settings: RmsSettings, past: Past, sweeper: Sweeper, tasks: Supervisor) -> None:
        self._settings = settings
        self._feed_limits = settings.feed_limits()
        self._past = past
        self._sweeper = sweeper
        self._interest: Interest
        self._videos: dict[str, ServedVideo] = {}
        self.catching_up = CatchingUp(settings, past, tasks)
        self.entering = Entering(settings, past, sweeper, tasks, self.catching_up.start, self._look)
        self._reported: dict[str, int] = {}  # viewers of each video, as last reported to the dispatchers
        self._viewers = 0  # all of these together
        self._unreported: set[str] = set()  # videos whose viewers may have changed since then
        self._told_apart: set[str] = set()  # of which one dispatcher's hello has said another number than the beats
        self._touched: set[str] = set()  # videos whose viewers, or totals, may have changed since `take_touched`
        self._missing: deque[tuple[Iterator[ServedVideo], int, bool, Promise | None]] = (
            deque()
        )  # catch-ups that have not begun in all
        self._sure_ms: int | None = None  # see `sure_until`
        self._without_past = 0  # videos opened so since the last one with its past
        self._unreadable: dict[int, int] = {}  # by service: from which id on history may lack what it has published
        self.on_open: Callable[[str], None] = lambda video_id: None
        """called with each video that is served from now on"""
        self.useless = 0
        """events that came for videos not served here"""
        self.too_old = 0
        """events that weren't sent, because their feed may have had and forgotten them"""

    def use(self, interest: Interest) -> None:
        """To be called once, before the first viewer."""
        self._interest = interest

    def __len__(self) -> int:
        """videos served"""
        return len(self._videos)

    @property
    def videos(self) -> Collection[ServedVideo]:
        return self._videos.values()

    # Viewers

    def serves(self, video_id: str) -> bool:
        return video_id in self._videos

    def find(self, video_id: str) -> ServedVideo | None:
        return self._videos.get(video_id)

    def ids(self) -> Collection[str]:
        return self._videos.keys()

    async def enter(self, video_id: str) -> ServedVideo:
        """The video, open. It is opened now if it isn't; callers at the same time share one opening.

        The caller has a hold on it, for a viewer on its way in or a streamed one, and ends that with `release`. Raises
        TooManyVideos, CannotOpen.
        """
        video = self._videos.get(video_id)
        if video is None:
            if len(self._videos) >= self._settings.videos_max:
                raise TooManyVideos
            video = self._videos[video_id] = ServedVideo(video_id, self._sweeper, self.entering.fallen)
            video.sure_ms = None if self._sure_ms is None else wall_ms() - LATE_MS
            video.opened = shared(self._open(video))
            self.on_open(video_id)
        video.holds += 1
        self._sweeper.changed.add(video_id)
        try:
            await asyncio.shield(video.opened)
        except BaseException as error:
            video.holds -= 1
            if isinstance(error, Exception) or video.opened.cancelled():
                raise CannotOpen from error
            raise
        return video

    def release(self, video: ServedVideo) -> None:
        video.holds -= 1

    def _count_without_past(self, video_id: str, reason: str) -> None:
        """Logs only the first one: any stranger can ask for videos that nobody has heard of."""
        if not self._without_past:
            log.warning("feeds open without their past", first=video_id, reason=reason)
        self._without_past += 1

    def _say_past_is_back(self) -> None:
        if self._without_past:
            log.info("feeds open with their past again", without_past=self._without_past)
        self._without_past = 0

    async def _open(self, video: ServedVideo) -> None:
        try:
            await self._interest.join(video.video_id)
            now_ms, hidden = wall_ms(), dict(self._unreadable)
            try:
                seed, complete_from = await self._past.seed(
                    video.video_id, self._settings.backfill, now_ms, min(hidden.values(), default=ID_MAX)
                )
            except StoreUnavailable as away:
                # People go on talking: the live comments come, and the past follows when it can be read.
                self._count_without_past(video.video_id, str(away))
                seed, complete_from = [], None
                video.lacks_past = True
            else:
                self._say_past_is_back()
            video.open(Feed(self._feed_limits, seed, complete_from, now_ms, hidden))
        except BaseException as error:
            if isinstance(error, Exception):
                log.exception("video not opened", video=video.video_id, reason=repr(error))
            self.drop(video)  # so the next viewer tries again
            raise
        self.catching_up.start(video)

    def audience(self, video: ServedVideo, form: Form) -> Audience:
        """The video's viewers who get this form. Who accepts gzip gets it only where enough viewers share it."""
        if form.gzip and form not in video.audiences and video.viewers < self._settings.gzip_viewers_min:
            form = form._replace(gzip=False)
        return video.audience(form, self._settings.backfill_max)

    # Events

    def deliver(self, video_id: str, events: Sequence[Event]) -> None:
        """Takes a video's live events, as they come. Doubles are dropped. An error in one event is logged, and stops no
        other."""
        video = self._videos.get(video_id)
        if video is None:
            self.useless += len(events)
            return
        too_old: list[int] = []
        for event in events:
            try:
                if video.state is not OPENING and video.is_too_old(event):
                    too_old.append(event.id)
                elif video.state is LIVE:
                    video.append(event)
                else:
                    video.buffer(event, self._settings.opening_comments_max)
            except Exception as error:
                video.miss_failed(event, error)
        last = events[-1]  # a wire message has one at least
        if video.state is not OPENING:
            video.take_over()
        if last.hidden_from_id:
            self._unreadable[service_of(last.id)] = last.hidden_from_id
        elif self._unreadable:
            self._unreadable.pop(service_of(last.id), None)
        if too_old:  # they are in history, as all is that is published
            self.too_old += len(too_old)
            video.announce_gap(min(too_old), max(too_old) + 1)
        if video.is_behind and video.state is not OPENING:
            self.catching_up.start(video)

    def note_unreadable(self, from_ids: Mapping[int, int]) -> None:
        """These services have published events that history doesn't have yet, from these ids on."""
        self._unreadable.update(from_ids)

    def sure_until(self, sure_ms: int | None) -> None:
        """From now on events may go by this node; it has those from before this time (wall clock). None: nothing goes
        by it any more. Positions say so until the videos have caught up."""
        if (self._sure_ms is None) == (sure_ms is None) or (sure_ms is None and self._missing):
            return  # as before; or catch-ups haven't begun in all videos
        self._sure_ms = sure_ms
        for video in self._videos.values():
            video.set_sure(sure_ms)

    def catch_up(
        self, from_id: int, live_waits: bool, video_ids: Sequence[str] = (), promise: Promise | None = None
    ) -> None:
        """Events from this id on may have been missed, in these videos or in any: reads them, however long the store is
        away.

        live_waits: what comes meanwhile goes behind them, but waits no longer than `catch_up_hold_ms`. False: they are
        all that went by this node since the last such call, or since `sure_until`. promise: what history has, by the
        word of the service that asks for this.
        """
        if promise is not None:
            self._unreadable.pop(promise.service, None)
        found = [video for video_id in video_ids if (video := self._videos.get(video_id))]
        videos = found if video_ids else list(self._videos.values())
        self._missing.append((iter(videos), from_id, live_waits, promise))
        if len(self._missing) == 1:
            self._begin_catch_ups()

    async def _look(self, video: ServedVideo) -> None:
        """Returns when the video has what was published until now, or history can't be read in time. Without this, who
        comes to a node that was cut off, or stopped, would be sent what others have seen erased."""
        missed = [from_id for _, from_id, _, _ in self._missing]
        gone_by = self._interest.missed_from()
        if gone_by is not None:
            self.sure_until(time_of(gone_by))  # until a beat says that nothing goes by any more
            missed.append(gone_by if video.sure_ms is None else first_id_at(video.sure_ms))
            video.sure_ms = wall_ms() - LATE_MS  # once all of this is read
        if missed:
            video.miss(min(missed))
        if video.is_behind:
            await self.catching_up.look(video)

    def _begin_catch_ups(self) -> None:
        """So many at once; the others' live comments may come before the missed ones, which harms nobody."""
        left = CATCH_UPS_AT_ONCE
        while self._missing:
            videos, from_id, live_waits, promise = self._missing[0]
            for video in itertools.islice(videos, left):
                left -= 1
                if video.state is DROPPED:
                    continue
                video.miss(from_id)
                if not live_waits and video.sure_ms is not None:
                    video.sure_ms = wall_ms() - LATE_MS  # once all of this is read
                if promise is not None:
                    video.promises.append(promise)
                if live_waits:
                    self.catching_up.hold_live(video)
                self.catching_up.start(video)
            if not left:
                asyncio.get_running_loop().call_soon(self._begin_catch_ups)
                return
            self._missing.popleft()

    # What is reported to the dispatchers, and by them

    def serving(self) -> dict[str, int]:
        """Viewers of every video served here"""
        serving = {video.video_id: video.viewers for video in self._videos.values()}
        self._told_apart.update(each for each, viewers in serving.items() if viewers != self._reported.get(each))
        return serving

    def changed_viewers(self) -> tuple[dict[str, int], int]:
        """The videos whose number of viewers has changed since the last call, and the viewers of all videos together"""
        self._note_changes()
        looked, self._unreported = self._unreported, set()
        told_apart, self._told_apart = self._told_apart, set()
        changed = {}
        for video_id in looked | told_apart:
            video = self._videos.get(video_id)
            if video is None:
                continue
            viewers, reported = video.viewers, self._reported.get(video_id)
            if viewers != reported or video_id in told_apart:
                changed[video_id] = self._reported[video_id] = viewers
                self._viewers += viewers - (reported or 0)
            if video.holds:
                self._unreported.add(video_id)  # nobody says when a hold ends
        return changed, self._viewers

    def set_totals(self, viewers: Mapping[str, int]) -> None:
        """Takes the viewers of these videos on all nodes together, as a dispatcher has reported them."""
        for video_id, total in viewers.items():
            video = self._videos.get(video_id)
            if video is not None and video.total_viewers != total:
                video.total_viewers = total
                self._touched.add(video_id)

    def take_touched(self) -> list[ServedVideo]:
        """The videos whose viewers here or on all nodes may have changed since the last call, new ones among them"""
        self._note_changes()
        touched, self._touched = self._touched, set()
        return [video for video_id in touched if (video := self._videos.get(video_id))]

    def _note_changes(self) -> None:
        changed = self._sweeper.changed
        self._unreported |= changed
        self._touched |= changed
        changed.clear()

    # The end

    def drop(self, video: ServedVideo) -> None:
        """Serves the video no longer. Idempotent."""
        if video.state is not State.DROPPED:
            video.state = State.DROPPED
            del self._videos[video.video_id]
            self._viewers -= self._reported.pop(video.video_id, 0)
            self._interest.leave(video.video_id)

    async def close(self) -> None:
        """Ends the openings that are under way."""
        opening = [video.opened for video in self._videos.values()]
        for task in opening:
            task.cancel()
        await asyncio.gather(*opening, return_exceptions=True)
