"""Does what is due by time alone: heartbeats, viewer counts, trimming, closing stalled viewers, dropping videos."""

import asyncio

import structlog

from rms import clocks
from rms.config import RmsSettings
from rms.feed.sse import HEARTBEAT, event_frame
from rms.sending.sweep import Sweeper
from rms.videos.served import ServedVideos
from rms.videos.video import ServedVideo, State

log = structlog.stdlib.get_logger()

VIDEOS_AT_ONCE = 500
"""looked after before the loop breathes; 50,000 videos must not hold it"""

FAILURES_LOGGED = 10
"""of the videos of one round"""

SEEN_PART = 100
"""A change by less than one in so many isn't seen by anybody: it is sent only every"""
UNSEEN_MS = 10_000
"""milliseconds"""


class Housekeeper:
    def __init__(self, settings: RmsSettings, served: ServedVideos, sweeper: Sweeper) -> None:
        self._settings = settings
        self._served = served
        self._sweeper = sweeper

    async def run(self, every_s: float) -> None:
        """For ever. An error in one video is logged, and stops no other video."""
        while True:
            await asyncio.sleep(every_s)
            try:
                self._sweeper.close_stalled(clocks.monotonic_ms())
            except Exception as error:
                log.exception("stalled viewers not closed", reason=repr(error))
            failures = 0
            for number, video in enumerate(list(self._served.videos), 1):
                if number % VIDEOS_AT_ONCE == 0:
                    await asyncio.sleep(0)
                try:
                    self.look_after(video, clocks.monotonic_ms())
                except Exception as error:
                    failures += 1
                    if failures <= FAILURES_LOGGED:
                        log.exception("housekeeping failed", video=video.video_id, reason=repr(error))

    def look_after(self, video: ServedVideo, monotonic_ms: int) -> None:
        if video.state in (State.OPENING, State.DROPPED):
            return
        if video.viewers:
            video.empty_since_ms = None
            video.feed.trim(clocks.wall_ms())
            self._announce_viewers(video, monotonic_ms)
            self._beat(video, monotonic_ms)
        elif video.empty_since_ms is None:
            video.empty_since_ms = monotonic_ms
        elif monotonic_ms - video.empty_since_ms >= self._settings.feed_linger_ms:
            self._served.drop(video)

    def _announce_viewers(self, video: ServedVideo, monotonic_ms: int) -> None:
        """Sends how many watch, if that has changed: every second, but less often where that costs many sends."""
        every_ms = max(1_000, video.viewers * 1_000 // self._settings.count_sends_per_s)
        changed = abs(video.total_viewers - video.announced_viewers)
        if changed * SEEN_PART < video.announced_viewers:
            every_ms = max(every_ms, UNSEEN_MS)
        # A little early is better than a whole round late.
        if not changed or (video.announced_ms is not None and monotonic_ms - video.announced_ms < every_ms - 100):
            return
        video.announced_viewers, video.announced_ms = video.total_viewers, monotonic_ms
        frame = event_frame("viewers", {"viewers": video.total_viewers})
        for audience in video.audiences.values():
            self._sweeper.send_aside(audience, frame)

    def _beat(self, video: ServedVideo, monotonic_ms: int) -> None:
        for form, audience in video.audiences.items():
            if monotonic_ms - audience.sent_ms >= self._settings.heartbeat_ms and not audience.due:
                self._sweeper.send_aside(audience, HEARTBEAT)
            elif form.rate:
                self._sweeper.publish(audience)  # so that viewers learn what was skipped, also when nothing follows
        video.drop_unused_audiences()
