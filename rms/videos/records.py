"""Tells viewers what is known of their video as a thing: its title, whether it is planned, live or over, its recording.

They get an event `video` when they come, and whenever that changes. Its data is what `GET /videos/{id}` answers. It has
no id, and the last one counts; so it stands in no log, as `viewers` does: a viewer whose socket is full just then
misses it, and has it with its next connection. A video that nobody has added costs its viewers nothing.

The node looks a video up when it begins to serve it, together with all others of that moment, and asks the store once
in `video_news_ms` which videos anybody has added or changed. A read goes back `video_overlap_ms` further than the last
one, as the clocks of processes differ. While the store is away, what is known counts on.
"""

import asyncio
from contextlib import suppress

import msgspec

from history.core.news import ask_from
from history.core.video import Video, video_json
from history.store import StoreUnavailable
from rms.clocks import monotonic_ms, wall_ms
from rms.config import RmsSettings
from rms.feed.sse import event_frame
from rms.sending.sweep import Sweeper
from rms.videos.past import Past
from rms.videos.served import ServedVideos
from rms.videos.video import ServedVideo

EVENT = "video"


def record_frame(video: ServedVideo) -> bytes:
    """The event as a chunk; empty: there is nothing to tell"""
    return event_frame(EVENT, msgspec.Raw(video.record)) if video.record else b""


class Records:
    """Belongs to one event loop."""

    def __init__(self, settings: RmsSettings, served: ServedVideos, past: Past, sweeper: Sweeper) -> None:
        self._settings = settings
        self._served = served
        self._past = past
        self._sweeper = sweeper
        self._wanted: set[str] = set()
        self._opened = asyncio.Event()
        self._asked_ms = wall_ms()
        served.on_open = self._want

    def _want(self, video_id: str) -> None:
        self._wanted.add(video_id)
        self._opened.set()

    async def run(self) -> None:
        """For ever. What is opened is looked up at once, or together with the others that wait for the same read."""
        every_ms = self._settings.video_news_ms
        due_ms = monotonic_ms() + every_ms
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._opened.wait(), max(0, due_ms - monotonic_ms()) / 1000)
            self._opened.clear()
            if monotonic_ms() >= due_ms:
                due_ms = monotonic_ms() + every_ms
                await self._read_news()
            await self._look()

    async def _look(self) -> None:
        wanted, self._wanted = self._wanted.intersection(self._served.ids()), set()
        if not wanted:
            return
        try:
            found = await self._past.videos(wanted)
        except StoreUnavailable:
            self._wanted |= wanted  # with the next news
            return
        for video in found:
            self._tell(video)

    async def _read_news(self) -> None:
        now_ms = wall_ms()
        if not len(self._served):
            self._asked_ms = now_ms  # who comes now is looked up
            return
        try:
            from_ms = ask_from(self._asked_ms, now_ms, self._settings.video_overlap_ms)
            changed = await self._past.changed_videos(from_ms, now_ms)
        except StoreUnavailable:
            return  # asked again from the same time on
        self._asked_ms = now_ms
        if changed is None:
            self._wanted.update(self._served.ids())
            return
        for video in changed:
            self._tell(video)

    def _tell(self, known: Video) -> None:
        video, record = self._served.find(known.id), video_json(known)
        if video is None or video.record == record:
            return
        video.record = record
        for audience in video.audiences.values():
            self._sweeper.send_aside(audience, record_frame(video))
