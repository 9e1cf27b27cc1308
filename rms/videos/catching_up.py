"""Reads from history what videos may have missed, for as long as a dispatcher or history was away.

A few workers take the videos from one queue: after a dispatcher's restart every video is behind, and a task, a timer
and a read at once for each of 5,000 would stop the event loop and the store.
Where the feed has forgotten which comments it has had, its viewers are sent a gap.
"""

import asyncio
import random
from collections import OrderedDict, deque

import structlog

from history.core.ids import first_id_at
from history.store import StoreUnavailable
from proto.tasks import Supervisor
from rms.clocks import monotonic_ms, wall_ms
from rms.config import RmsSettings
from rms.feed.event import Event
from rms.videos.past import Past
from rms.videos.video import ServedVideo, State

log = structlog.stdlib.get_logger()

CATCH_UP_PAGE = 500
"""events in one read"""

APPENDED_AT_ONCE = 25
"""events, until the event loop goes on: 16 workers may each do as much in one of its rounds, together in some ms"""

FLUSHED_AT_ONCE = 500
"""videos whose hold ends, until the event loop goes on"""

PAUSE_MS_MIN = 100
"""before the first new try; doubled with each failure in a row, up to `catch_up_retry_ms_max`"""


class CatchingUp:
    def __init__(self, settings: RmsSettings, past: Past, tasks: Supervisor) -> None:
        self._settings = settings
        self._past = past
        self._tasks = tasks
        self._under_way: set[ServedVideo] = set()
        self._waiting: OrderedDict[ServedVideo, None] = OrderedDict()  # of these, those that no worker has
        self._looks: dict[ServedVideo, list[asyncio.Future[None]]] = {}  # done when it is read, or could not be
        self._workers = 0
        self._away = 0  # failures of the store in a row, over all videos
        self._failures: dict[ServedVideo, int] = {}  # in a row, of a video for another reason
        self._held: deque[tuple[int, ServedVideo]] = deque()  # until when (monotonic ms); in this order
        self._hold_ends = False  # there is a timer for the first of them

    def __len__(self) -> int:
        """videos that are catching up"""
        return len(self._under_way)

    def start(self, video: ServedVideo) -> None:
        """Begins to read what the video lacks. Idempotent. A video that is opening is left alone: to be called again
        when it is open."""
        if video.is_behind and video.state is not State.OPENING and video not in self._under_way:
            self._under_way.add(video)
            self._queue(video)

    async def look(self, video: ServedVideo) -> None:
        """Begins as `start` does, before other videos, and returns when all is read that is missed now: at the latest
        after `catch_up_hold_ms`, or when history can't be read."""
        self.start(video)
        if self._away or video in self._failures or video not in self._under_way:
            return
        if video in self._waiting:
            self._waiting.move_to_end(video, last=False)
        look = asyncio.get_running_loop().create_future()
        self._looks.setdefault(video, []).append(look)
        await asyncio.wait([look], timeout=self._settings.catch_up_hold_ms / 1000)

    def _looked(self, video: ServedVideo, count: int | None = None) -> None:
        """count: so many of the looks, the first ones, are done; None: all"""
        looks = self._looks.pop(video, [])
        if looks[len(looks) if count is None else count :]:
            self._looks[video] = looks[count:]
        for look in looks[:count]:
            look.set_result(None)

    def hold_live(self, video: ServedVideo) -> None:
        """Buffers live comments, so that they come behind what the catch-up reads; at most for `catch_up_hold_ms`. To
        be called while the video is behind."""
        if video.state is State.LIVE:
            video.hold_live()
            self._held.append((monotonic_ms() + self._settings.catch_up_hold_ms, video))
            if not self._hold_ends:
                self._hold_ends = True
                asyncio.get_running_loop().call_later(self._settings.catch_up_hold_ms / 1000, self._end_holds)

    def _end_holds(self) -> None:
        """Of one that has ended early it may end a later one, which is a shorter one then."""
        now_ms, held = monotonic_ms(), self._held
        for _ in range(FLUSHED_AT_ONCE):
            if not held or held[0][0] > now_ms:
                break
            _, video = held.popleft()
            video.flush()
        self._hold_ends = bool(held)
        if held:
            wait_ms = max(0, held[0][0] - now_ms)
            asyncio.get_running_loop().call_later(wait_ms / 1000, self._end_holds)

    def _queue(self, video: ServedVideo) -> None:
        self._waiting[video] = None
        if self._workers < self._settings.catch_up_reads:
            self._workers += 1
            self._tasks.spawn("catch-up", self._work())

    async def _work(self) -> None:
        """One of the workers: until no video waits"""
        try:
            while self._waiting:
                video, _ = self._waiting.popitem(last=False)
                try:
                    while _needs(video):
                        await self._read_all(video)
                except StoreUnavailable:
                    # For all videos alike: this worker waits, and then takes another one.
                    self._away += 1
                    self._waiting[video] = None
                    self._looked(video)
                    await asyncio.sleep(self._pause_s(self._away))
                except Exception as error:
                    self._fail(video, error)
                else:
                    self._away = 0
                    self._failures.pop(video, None)
                    self._under_way.discard(video)  # at once: what is missed from now on must be queued anew
                    video.say_how_sure()
                    video.wake()
                    self._looked(video)
        finally:
            self._workers -= 1

    def _fail(self, video: ServedVideo, error: Exception) -> None:
        """For a reason of its own: it waits alone, and keeps no worker from the others."""
        self._looked(video)
        failures = self._failures[video] = self._failures.get(video, 0) + 1
        log.error("catch-up failed", video=video.video_id, reason=repr(error), failures=failures, exc_info=error)
        self._tasks.spawn("catch-up again", self._queue_later(video, self._pause_s(failures)))

    async def _queue_later(self, video: ServedVideo, pause_s: float) -> None:
        await asyncio.sleep(pause_s)
        self._queue(video)

    def _pause_s(self, failures: int) -> float:
        """Random, so that not all come at the same moment"""
        most_ms = min(self._settings.catch_up_retry_ms_max, PAUSE_MS_MIN << min(failures - 1, 16))
        return random.uniform(0, most_ms) / 1000

    async def _read_all(self, video: ServedVideo) -> None:
        """Raises StoreUnavailable; the video is still behind then. In any case live comments wait no longer."""
        try:
            while _needs(video):
                if video.lacks_past:
                    await self._read_past(video)
                else:
                    await self._read_missed(video)
        finally:
            video.flush()

    async def _read_past(self, video: ServedVideo) -> None:
        feed, now_ms = video.feed, wall_ms()
        assert feed.without_past is not None
        up_to = feed.read_begins(now_ms)
        seed, from_id = await self._past.seed(video.video_id, self._settings.backfill, now_ms)
        await _append(video, [event for event in seed if not feed.had_live(event.id, now_ms)])
        # What viewers wait for who have come back: also those who come meanwhile.
        while (waits_from := feed.without_past.waits_from) is not None and waits_from < from_id:
            await self._read_back(video, waits_from, from_id)
            from_id = waits_from
        feed.past_is_read(from_id, up_to, wall_ms())
        video.lacks_past = False
        video.publish()
        if (hole := feed.had.lowest_hole) is not None:
            video.miss(hole)

    async def _read_back(self, video: ServedVideo, from_id: int, to_id: int) -> None:
        """Appends what history has from one id up to another, exclusive."""
        while from_id < to_id:
            page = await self._past.since(video.video_id, from_id, CATCH_UP_PAGE)
            now_ms = wall_ms()
            await _append(
                video, [each for each in page if each.id < to_id and not video.feed.had_live(each.id, now_ms)]
            )
            from_id = page[-1].id + 1 if len(page) == CATCH_UP_PAGE else to_id

    async def _read_missed(self, video: ServedVideo) -> None:
        assert video.missed_from is not None
        promises, video.promises = video.promises, []  # made before this read begins
        # Comments from before the feed began are new to none of its viewers.
        from_id = max(video.missed_from, video.feed.complete_from)
        video.missed_from = None
        looks = len(self._looks.get(video, ()))
        rest_from: int | None = from_id
        try:
            # To its end, whatever is missed meanwhile: else who keeps coming would hold it at its first page.
            while rest_from is not None and video.state is not State.DROPPED:
                rest_from = await self._read_page(video, rest_from)
        finally:
            if rest_from is not None:
                video.miss(rest_from)  # beside what has been missed meanwhile
                video.promises += promises
        if rest_from is None:
            for promise in promises:
                video.feed.promised(promise)
            self._looked(video, looks)

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
        await _append(video, page)
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


async def _append(video: ServedVideo, events: list[Event]) -> None:
    for begin in range(0, len(events), APPENDED_AT_ONCE):
        if begin:
            await asyncio.sleep(0)
        try:
            for event in events[begin : begin + APPENDED_AT_ONCE]:
                video.append(event)
        finally:
            video.take_over()
