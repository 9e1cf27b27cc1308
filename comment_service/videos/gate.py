"""Decides from memory whether a video takes comments now: asked for every comment.

A look is one read of the video's state in the store; all who need it at the same time share it. It is fresh for
`fresh_ms`. After that it still decides, and a new look begins in the background; after `stale_ms` it no longer counts.
So a busy video costs one read in `fresh_ms`, and an end that another process stored holds here after `stale_ms` at the
latest.

While the store is away or slow, comments are accepted.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

import structlog

from comment_service.clocks import monotonic_ms
from comment_service.core.errors import VideoEnded, VideoUnknown
from history.core.video import State, Video
from history.store import StoreUnavailable
from proto.tasks import shared

log = structlog.stdlib.get_logger()

Verdict = Literal["refuse", "accept"]


@dataclass(frozen=True, slots=True)
class GateSettings:
    """What config.py says; its descriptions give the reasons."""

    ended: Verdict
    unknown: Verdict
    fresh_ms: int
    stale_ms: int
    look_ms: int
    videos_max: int


@dataclass(frozen=True, slots=True)
class _Look:
    refusal: type[VideoEnded] | type[VideoUnknown] | None
    at_ms: int


class VideoGate:
    """Belongs to one event loop."""

    def __init__(self, read: Callable[[str], Awaitable[Video | None]], settings: GateSettings) -> None:
        """read: raises StoreUnavailable."""
        self._read = read
        self._settings = settings
        self._is_open = settings.ended == settings.unknown == "accept"
        self._looks: dict[str, _Look] = {}  # the oldest first
        self._looking: dict[str, asyncio.Task[_Look]] = {}

    async def check(self, video_id: str) -> None:
        """Raises VideoEnded, VideoUnknown. Waits, look_ms at most, only if there is no look that counts."""
        if self.is_checked(video_id):
            return
        look = await asyncio.shield(self._begin_look(video_id))
        if look.refusal is not None:
            raise look.refusal(video_id)

    def is_checked(self, video_id: str) -> bool:
        """Whether `check` needn't wait. Raises VideoEnded, VideoUnknown if it needn't and would."""
        if self._is_open:
            return True
        look = self._looks.get(video_id)
        if look is None or (age_ms := monotonic_ms() - look.at_ms) >= self._settings.stale_ms:
            return False
        if age_ms >= self._settings.fresh_ms:
            self._begin_look(video_id)
        if look.refusal is not None:
            raise look.refusal(video_id)
        return True

    def learn(self, video: Video) -> None:
        """Takes the place of a look: the video as it was just stored or read."""
        self._remember(video.id, self._judge(video))

    def _begin_look(self, video_id: str) -> "asyncio.Task[_Look]":
        looking = self._looking.get(video_id)
        if looking is None:
            looking = self._looking[video_id] = shared(self._look(video_id))
        return looking

    async def _look(self, video_id: str) -> _Look:
        try:
            async with asyncio.timeout(self._settings.look_ms / 1000):
                look = self._judge(await self._read(video_id))
        except Exception as error:
            if not isinstance(error, StoreUnavailable | TimeoutError):
                log.exception("look at a video failed", video=video_id, reason=repr(error))
            # What the last look said counts on. A video without one takes comments.
            last = self._looks.get(video_id)
            look = _Look(None if last is None else last.refusal, monotonic_ms())
        finally:
            del self._looking[video_id]
        self._remember(video_id, look)
        return look

    def _judge(self, video: Video | None) -> _Look:
        refusal: type[VideoEnded] | type[VideoUnknown] | None = None
        if video is None and self._settings.unknown == "refuse":
            refusal = VideoUnknown
        elif video is not None and video.state is State.ENDED and self._settings.ended == "refuse":
            refusal = VideoEnded
        return _Look(refusal, monotonic_ms())

    def _remember(self, video_id: str, look: _Look) -> None:
        self._looks.pop(video_id, None)
        self._looks[video_id] = look
        if len(self._looks) > self._settings.videos_max:
            del self._looks[next(iter(self._looks))]
