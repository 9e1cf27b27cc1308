"""Sends the viewers elsewhere, evenly over a time, and loses nothing: each goes with its position, and comes back with
it at the node that takes it next."""

import asyncio
import random

import structlog

from rms.clocks import monotonic_ms
from rms.config import RmsSettings
from rms.feed.sse import event_frame
from rms.sending.sweep import Sweeper
from rms.videos.served import ServedVideos

log = structlog.stdlib.get_logger()

STEP_S = 0.05

DELAY_MS_MAX = 250
"""A viewer comes back after at most this: the drain itself spreads them over its time."""


class Drain:
    def __init__(self, settings: RmsSettings, served: ServedVideos, sweeper: Sweeper) -> None:
        self._settings = settings
        self._served = served
        self._sweeper = sweeper
        self._task: asyncio.Task[None] | None = None
        self._finishing = False
        self.draining = False
        """no viewer is let in"""

    def start(self, over_ms: int) -> None:
        """Lets nobody in any more, and sends those who are here away within so many milliseconds.

        Nothing happens while the node ends: then `finish` has its own pace, and no word from outside changes it.
        """
        if not self._finishing:
            self._begin(over_ms)

    def cancel(self) -> None:
        """Whoever is still here stays, and viewers are let in again; but not while the node ends."""
        if not self._finishing:
            self.draining = False
            self._end()

    async def finish(self) -> None:
        """Until the viewers are gone, at the pace that keeps the other nodes calm."""
        self._finishing = True
        per_s, most_ms = self._settings.drain_viewers_per_s, self._settings.drain_ms_max
        await self._begin(min(most_ms, len(self._sweeper) * 1_000 // per_s))

    def close(self) -> None:
        """Sends nobody away any more."""
        self._end()

    def _begin(self, over_ms: int) -> "asyncio.Task[None]":
        self._end()
        self.draining = True
        self._task = asyncio.create_task(self._run(over_ms))
        return self._task

    def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

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
            for audience in video.audiences.values():
                if count <= 0:
                    return
                words = event_frame("reconnect", {"delay_ms": random.randint(0, DELAY_MS_MAX)})
                count -= self._sweeper.close_some(audience, count, "drained", words)
