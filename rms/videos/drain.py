"""Sends the viewers elsewhere, evenly over a time. Nothing is lost: each viewer knows its position, and resumes from it
at the node that takes it next."""

import asyncio
import random
from collections.abc import Coroutine
from typing import Any

import structlog

from proto.tasks import Supervisor
from rms.clocks import monotonic_ms
from rms.config import RmsSettings
from rms.feed.sse import event_frame
from rms.sending.sweep import Sweeper
from rms.videos.served import ServedVideos
from rms.videos.video import ServedVideo

log = structlog.stdlib.get_logger()

STEP_S = 0.05

DELAY_MS_MAX = 250
"""A viewer comes back after at most this: the drain, and the streams' ages, spread them over a longer time."""


class Drain:
    def __init__(self, settings: RmsSettings, served: ServedVideos, sweeper: Sweeper, tasks: Supervisor) -> None:
        self._settings = settings
        self._served = served
        self._sweeper = sweeper
        self._tasks = tasks
        self._task: asyncio.Task[None] | None = None
        self._finishing = False
        self.draining = False
        """no viewer is let in"""
        self._waiting = 0  # how many waited when it began
        self.waiters: set[asyncio.Event] = set()
        """to be set when a drain begins: of viewers who wait for an answer, see rms/sending/polled.py"""

    def start(self, over_ms: int) -> None:
        """Lets no viewer in any more, and sends all away within so many milliseconds.

        Does nothing while the node ends: `finish` has its own pace.
        """
        if not self._finishing:
            self._begin(self._keep_empty(over_ms))

    def cancel(self) -> None:
        """Stops the drain, and lets viewers in again. Does nothing while the node ends."""
        if not self._finishing:
            self.draining = False
            self.close()

    def finish(self) -> asyncio.Task[None]:
        """Begins the node's last drain, at the pace that keeps the other nodes calm. The task ends when the viewers are
        gone, or when the drain has failed; it raises nothing."""
        self._finishing = True
        per_s, most_ms = self._settings.drain_viewers_per_s, self._settings.drain_ms_max
        return self._begin(self._run(min(most_ms, len(self._sweeper) * 1_000 // per_s)))

    def word_to_waiting(self) -> dict[str, int]:
        """The payload of a `reconnect` for a viewer who waits for an answer. All get theirs at once, and come back at a
        drain's pace."""
        spread_ms = self._waiting * 1_000 // self._settings.drain_viewers_per_s
        return {"delay_ms": random.randint(0, max(DELAY_MS_MAX, spread_ms))}

    def close(self) -> None:
        """Stops the drain, if there is one; viewers are still not let in."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        self.close()
        self.draining = True
        self._waiting = len(self.waiters)
        for waiter in self.waiters:
            waiter.set()
        self._task = self._tasks.spawn("drain", work)
        return self._task

    async def _keep_empty(self, over_ms: int) -> None:
        """Sends also those away who were on their way in when the drain began, or fell off their log; until `close`."""
        await self._run(over_ms)
        while True:
            await asyncio.sleep(STEP_S)
            self._send_away(len(self._sweeper))

    async def _run(self, over_ms: int) -> None:
        end_ms = monotonic_ms() + over_ms
        log.info("draining", viewers=len(self._sweeper), over_ms=over_ms)
        while (left_ms := end_ms - monotonic_ms()) > 0 and len(self._sweeper):
            steps = max(1, round(left_ms / (STEP_S * 1_000)))
            self._send_away(-(-len(self._sweeper) // steps))
            await asyncio.sleep(min(STEP_S, left_ms / 1_000))
        self._send_away(len(self._sweeper))

    def _send_away(self, count: int) -> None:
        for video in self._served.videos:
            if count <= 0:
                return
            try:
                count -= self._send_away_from(video, count)
            except Exception as error:
                log.exception("viewers not sent away", video=video.video_id, reason=repr(error))

    def _send_away_from(self, video: ServedVideo, count: int) -> int:
        """Returns how many of the video's viewers were sent away."""
        sent = 0
        for audience in video.audiences.values():
            if sent < count:
                leaving = audience.viewers[: sent - count - 1 : -1]
                sent += len(leaving)
                self._sweeper.send_away(audience, leaving, "drained", reconnect_words())
        return sent


def reconnect_words() -> bytes:
    """What a viewer is told last"""
    return event_frame("reconnect", {"delay_ms": random.randint(0, DELAY_MS_MAX)})
