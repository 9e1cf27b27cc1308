"""Does what is due by time alone: heartbeats, viewer counts, trimming, closing stalled viewers, ending old streams,
dropping videos.

It looks only after videos where something has changed or is due. A quiet one is looked after when its next heartbeat
is due: with thousands of them a walk over all in each second would be most of what they cost.
"""

import asyncio
import heapq
import itertools
from collections.abc import Iterator

import structlog

from rms import clocks
from rms.config import RmsSettings
from rms.feed.sse import HEARTBEAT, event_frame, heartbeat_event
from rms.sending.sweep import Sweeper
from rms.videos.drain import reconnect_words
from rms.videos.served import ServedVideos
from rms.videos.video import ServedVideo, State

log = structlog.stdlib.get_logger()

VIDEOS_AT_ONCE = 100
"""looked after before the loop breathes: 1 ms"""

FAILURES_LOGGED = 10
"""of the videos of one round"""

ROUND_MS = 1_000
"""between two looks at a video that has something due in each round, or that can't be told"""

SEEN_PART = 100
"""A change by less than one in so many isn't seen by anybody: it is sent only every"""
UNSEEN_MS = 10_000
"""milliseconds"""

EARLY_MS = 100
"""A count is sent so much earlier than it is due: better than a whole round late"""


class Housekeeper:
    def __init__(self, settings: RmsSettings, served: ServedVideos, sweeper: Sweeper) -> None:
        self._settings = settings
        self._served = served
        self._sweeper = sweeper
        self._heartbeat_event = heartbeat_event(settings.heartbeat_ms)
        self._due_ms: dict[ServedVideo, int] = {}  # when each is looked after next (monotonic)
        self._queue: list[tuple[int, int, ServedVideo]] = []  # a heap of these times; those put off since are passed by
        self._order = itertools.count()

    async def run(self, every_s: float) -> None:
        """For ever. An error in one video is logged, and stops no other video."""
        while True:
            await asyncio.sleep(every_s)
            try:
                self._sweeper.close_stalled(clocks.monotonic_ms())
            except Exception as error:
                log.exception("stalled viewers not closed", reason=repr(error))
            failures = 0
            for number, video in enumerate(self.due(clocks.monotonic_ms()), 1):
                if number % VIDEOS_AT_ONCE == 0:
                    await asyncio.sleep(0)
                now_ms = clocks.monotonic_ms()
                try:
                    self.plan(video, self.look_after(video, now_ms))
                except Exception as error:
                    self.plan(video, now_ms + ROUND_MS)
                    failures += 1
                    if failures <= FAILURES_LOGGED:
                        log.exception("housekeeping failed", video=video.video_id, reason=repr(error))

    def due(self, monotonic_ms: int) -> Iterator[ServedVideo]:
        """The videos to look after in this round, each once. Each must be planned again."""
        touched = self._served.take_touched()
        for video in touched:
            self._due_ms[video] = monotonic_ms
        yield from touched
        while self._queue and self._queue[0][0] <= monotonic_ms:
            due_ms, _, video = heapq.heappop(self._queue)
            if self._due_ms.get(video) == due_ms:
                yield video

    def plan(self, video: ServedVideo, due_ms: int | None) -> None:
        """None: never again"""
        if due_ms is None:
            self._due_ms.pop(video, None)
        else:
            self._due_ms[video] = due_ms
            heapq.heappush(self._queue, (due_ms, next(self._order), video))

    def look_after(self, video: ServedVideo, monotonic_ms: int) -> int | None:
        """Does what is due. Returns when it wants to be looked after again at the latest (monotonic); None: never."""
        if video.state is State.DROPPED:
            return None
        if video.state is State.OPENING:
            return monotonic_ms + ROUND_MS
        if video.viewers:
            video.empty_since_ms = None
            video.feed.trim(clocks.wall_ms())
            if self._settings.stream_age_s_max:
                self._end_old(video, monotonic_ms)
            return min(self._announce_viewers(video, monotonic_ms), self._beat(video, monotonic_ms))
        if video.empty_since_ms is None:
            video.empty_since_ms = monotonic_ms
        elif monotonic_ms - video.empty_since_ms >= self._settings.feed_linger_ms:
            self._served.drop(video)
            return None
        return max(monotonic_ms + 1, video.empty_since_ms + self._settings.feed_linger_ms)

    def _announce_viewers(self, video: ServedVideo, monotonic_ms: int) -> int:
        """Sends how many watch, if that has changed: every second, but less often where that costs many sends. Returns
        when it wants to be called again, if nothing changes."""
        every_ms = max(1_000, video.viewers * 1_000 // self._settings.count_sends_per_s)
        changed = abs(video.total_viewers - video.announced_viewers)
        if changed * SEEN_PART < video.announced_viewers:
            every_ms = max(every_ms, UNSEEN_MS)
        if changed:
            if video.announced_ms is not None and monotonic_ms < (due_ms := video.announced_ms + every_ms - EARLY_MS):
                return due_ms
            video.announced_viewers, video.announced_ms = video.total_viewers, monotonic_ms
            frame = event_frame("viewers", {"viewers": video.total_viewers})
            for audience in video.audiences.values():
                self._sweeper.send_aside(audience, frame)
        return monotonic_ms + self._settings.heartbeat_ms

    def _end_old(self, video: ServedVideo, monotonic_ms: int) -> None:
        """Sends those away whose streams are old. A look at each viewer, at most once a second and mostly once a
        heartbeat: 0.4 ms for 19,000."""
        for audience in video.audiences.values():
            old = [each for each in audience.viewers if each.ends_ms is not None and each.ends_ms <= monotonic_ms]
            if old:
                self._sweeper.send_away(audience, old, "aged", reconnect_words())

    def _beat(self, video: ServedVideo, monotonic_ms: int) -> int:
        """Returns when the next heartbeat is due, if nothing is sent until then."""
        heartbeat_ms = self._settings.heartbeat_ms
        next_ms = monotonic_ms + heartbeat_ms
        for form, audience in video.audiences.items():
            if not audience.viewers:
                continue
            if monotonic_ms - audience.sent_ms >= heartbeat_ms and not audience.due:
                self._sweeper.send_aside(audience, self._heartbeat_event if form.beat_events else HEARTBEAT)
            elif audience.due:
                next_ms = min(next_ms, monotonic_ms + ROUND_MS)
            else:
                next_ms = min(next_ms, audience.sent_ms + heartbeat_ms)
            if form.rate:
                audience.edition.update(clocks.wall_ms())  # what was skipped is told also when nothing follows
                if audience.log.end != audience.swept_to:
                    self._sweeper.publish(audience)
                next_ms = monotonic_ms + ROUND_MS
        video.drop_unused_audiences()
        return next_ms
