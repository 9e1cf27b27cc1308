"""May comments of a video come in now? Asked for every comment, answered from memory.

A look into the store is shared by all who wait for it, and serves for a while: fresh for `fresh_ms`; after that it
still answers at once, and one new look is taken behind; after `stale_ms` it counts no more. So a busy video costs one
read in `fresh_ms`, and an end that another process was told of is known here after `stale_ms` at the latest.

When the store is away or slow, comments come in: people go on talking. `now` is a clock that doesn't step back.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from comment_service.clocks import monotonic_ms
from comment_service.core.errors import VideoEnded, VideoUnknown
from history.core.video import State, Video
from history.store import StoreUnavailable

Policy = Literal["refuse", "accept"]


@dataclass(frozen=True, slots=True)
class GateSettings:
    """What config.py says; its descriptions give the reasons."""

    ended: Policy
    unknown: Policy
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
        self._looks: dict[str, _Look] = {}  # the one looked at longest ago first
        self._looking: dict[str, asyncio.Task[_Look]] = {}

    async def check(self, video_id: str) -> None:
        """Raises VideoEnded, VideoUnknown. Waits only for the first look, or after a long silence; look_ms at most."""
        if self.is_checked(video_id):
            return
        look = await asyncio.shield(self._begin_look(video_id))
        if look.refusal is not None:
            raise look.refusal(video_id)

    def is_checked(self, video_id: str) -> bool:
        """Whether `check` would return at once. Raises VideoEnded, VideoUnknown."""
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
        """What this process has just stored needs no look."""
        self._keep(video.id, self._judge(video))

    def _begin_look(self, video_id: str) -> "asyncio.Task[_Look]":
        looking = self._looking.get(video_id)
        if looking is None:
            looking = self._looking[video_id] = asyncio.create_task(self._look(video_id))
        return looking

    async def _look(self, video_id: str) -> _Look:
        try:
            async with asyncio.timeout(self._settings.look_ms / 1000):
                look = self._judge(await self._read(video_id))
        except (StoreUnavailable, TimeoutError):
            # As it was seen last; of a video that was never seen nothing speaks against its comments.
            last = self._looks.get(video_id)
            look = _Look(None if last is None else last.refusal, monotonic_ms())
        finally:
            del self._looking[video_id]
        self._keep(video_id, look)
        return look

    def _judge(self, video: Video | None) -> _Look:
        refusal: type[VideoEnded] | type[VideoUnknown] | None = None
        if video is None and self._settings.unknown == "refuse":
            refusal = VideoUnknown
        elif video is not None and video.state is State.ENDED and self._settings.ended == "refuse":
            refusal = VideoEnded
        return _Look(refusal, monotonic_ms())

    def _keep(self, video_id: str, look: _Look) -> None:
        self._looks.pop(video_id, None)
        self._looks[video_id] = look
        if len(self._looks) > self._settings.videos_max:
            del self._looks[next(iter(self._looks))]
