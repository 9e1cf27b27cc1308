"""What time alone brings about: heartbeats, viewer counts, trimming, letting go of the stalled, dropping what nobody
watches."""

import asyncio

from rms.clocks import monotonic_ms, wall_ms
from rms.config import RmsSettings
from rms.feed.sse import HEARTBEAT, event_frame
from rms.sending.sweep import Sweeper
from rms.videos.served import ServedVideos
from rms.videos.video import ServedVideo

VIDEOS_AT_ONCE = 500
"""looked after before the loop breathes; 50,000 videos must not hold it"""


SEEN_PART = 100
"""A change by less than one in so many isn't seen by anybody: it is told only every"""
UNSEEN_MS = 10_000
"""milliseconds"""


class Housekeeper:
    def __init__(self, settings: RmsSettings, served: ServedVideos, sweeper: Sweeper) -> None:
        self._settings = settings
        self._served = served
        self._sweeper = sweeper

    async def run(self, every_s: float) -> None:
        """For ever"""
        while True:
            await asyncio.sleep(every_s)
            self._sweeper.close_stalled(monotonic_ms())
            for number, video in enumerate(list(self._served.videos), 1):
                if number % VIDEOS_AT_ONCE == 0:
                    await asyncio.sleep(0)
                self.look_after(video, monotonic_ms())

    def look_after(self, video: ServedVideo, now_ms: int) -> None:
        if not video.is_open:
            if video.opened.done():
                self._served.drop(video)  # it could not be opened; whoever waited for it knows
        elif video.viewers:
            video.empty_ms = 0
            video.feed.trim(wall_ms())
            self._count(video, now_ms)
            self._beat(video, now_ms)
        elif not video.empty_ms:
            video.empty_ms = now_ms
        elif now_ms - video.empty_ms >= self._settings.feed_linger_ms:
            self._served.drop(video)

    def _count(self, video: ServedVideo, now_ms: int) -> None:
        """Tells how many watch, if that has changed: every second, but less often where that costs many sends."""
        every_ms = max(1_000, video.viewers * 1_000 // self._settings.count_sends_per_s)
        changed = abs(video.total_viewers - video.told_viewers)
        if changed * SEEN_PART < video.told_viewers:
            every_ms = max(every_ms, UNSEEN_MS)
        # A little early is better than a whole round late.
        if not changed or now_ms - video.counted_ms < every_ms - 100:
            return
        video.told_viewers, video.counted_ms = video.total_viewers, now_ms
        frame = event_frame("viewers", {"viewers": video.total_viewers})
        for audience in video.audiences.values():
            self._sweeper.tell(audience, frame)

    def _beat(self, video: ServedVideo, now_ms: int) -> None:
        for form, audience in video.audiences.items():
            if now_ms - audience.sent_ms >= self._settings.heartbeat_ms and not audience.due:
                self._sweeper.tell(audience, HEARTBEAT)
            elif form.rate:
                self._sweeper.publish(audience)  # what was skipped is told, also when nothing follows
        video.drop_unused_audiences()
