"""What time alone brings about: heartbeats, viewer counts, trimming, letting go of the stalled, dropping what nobody
watches."""

import asyncio

from rms.clocks import monotonic_ms, wall_ms
from rms.config import RmsSettings
from rms.feed.sse import HEARTBEAT, event_frame
from rms.sending.sweep import Sweeper
from rms.videos.served import Feeds
from rms.videos.video import Room

ROOMS_AT_ONCE = 500
"""looked after before the loop breathes; 50,000 videos must not hold it"""


SEEN_PART = 100
"""A change by less than one in so many isn't seen by anybody: it is told only every"""
UNSEEN_MS = 10_000
"""milliseconds"""


class Housekeeper:
    def __init__(self, settings: RmsSettings, feeds: Feeds, sweeper: Sweeper) -> None:
        self._settings = settings
        self._feeds = feeds
        self._sweeper = sweeper

    async def run(self, every_s: float) -> None:
        """For ever"""
        while True:
            await asyncio.sleep(every_s)
            self._sweeper.close_stalled(monotonic_ms())
            for number, room in enumerate(list(self._feeds.rooms), 1):
                if number % ROOMS_AT_ONCE == 0:
                    await asyncio.sleep(0)
                self.look_after(room, monotonic_ms())

    def look_after(self, room: Room, now_ms: int) -> None:
        if not room.is_open:
            if room.opened.done():
                self._feeds.drop(room)  # it could not be opened; whoever waited for it knows
        elif room.viewers:
            room.empty_ms = 0
            room.feed.trim(wall_ms())
            self._count(room, now_ms)
            self._beat(room, now_ms)
        elif not room.empty_ms:
            room.empty_ms = now_ms
        elif now_ms - room.empty_ms >= self._settings.feed_linger_ms:
            self._feeds.drop(room)

    def _count(self, room: Room, now_ms: int) -> None:
        """Tells how many watch, if that has changed: every second, but less often where that costs many sends."""
        every_ms = max(1_000, room.viewers * 1_000 // self._settings.count_sends_per_s)
        changed = abs(room.total_viewers - room.told_viewers)
        if changed * SEEN_PART < room.told_viewers:
            every_ms = max(every_ms, UNSEEN_MS)
        # A little early is better than a whole round late.
        if not changed or now_ms - room.counted_ms < every_ms - 100:
            return
        room.told_viewers, room.counted_ms = room.total_viewers, now_ms
        frame = event_frame("viewers", {"viewers": room.total_viewers})
        for audience in room.audiences.values():
            self._sweeper.tell(audience, frame)

    def _beat(self, room: Room, now_ms: int) -> None:
        for wish, audience in room.audiences.items():
            if now_ms - audience.sent_ms >= self._settings.heartbeat_ms and not audience.due:
                self._sweeper.tell(audience, HEARTBEAT)
            elif wish.rate:
                self._sweeper.publish(audience)  # what was skipped is told, also when nothing follows
        room.drop_unused_audiences()
