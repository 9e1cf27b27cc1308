"""Decides from memory whether a video takes comments now: asked for every comment, without a clock or a read.

A video that was never asked about is looked up once, together with all others of that moment: one query for many, one
at a time. From then on it is kept current by notices: `follow` asks the store once in `news_ms` which videos anybody
has added or changed, which costs a read of what changed. So an end that another process stored holds here after
`news_ms` and the time of that read. Each of these reads goes back `overlap_ms` further than the last one, as the clocks
of nodes differ: what is read again is taken again, so a look that was overtaken by a change is put right by the next
read.

While the store is away or slow, comments are accepted: what is known counts on, and who isn't known is let in.
Afterwards the latter are looked up again; and all are, if the store was away for longer than its notices reach.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import structlog

from comment_service.clocks import wall_ms
from comment_service.core.errors import VideoEnded, VideoUnknown
from history.core.news import ask_from
from history.core.video import State, Video
from history.store import StoreUnavailable, Videos
from proto.tasks import shared

log = structlog.stdlib.get_logger()

Verdict = Literal["refuse", "accept"]
Refusal = type[VideoEnded] | type[VideoUnknown] | None


@dataclass(frozen=True, slots=True)
class GateSettings:
    """What config.py says; its descriptions give the reasons."""

    ended: Verdict
    unknown: Verdict
    news_ms: int
    overlap_ms: int
    look_ms: int
    videos_max: int


class VideoGate:
    """Belongs to one event loop."""

    def __init__(self, history: Callable[[], Videos], settings: GateSettings) -> None:
        """history: the open store; raises StoreUnavailable until there is one."""
        self._history = history
        self._settings = settings
        self._is_open = settings.ended == settings.unknown == "accept"
        # The one that was looked up first is first. Not a dict, in which dropping the first is a walk over the dropped.
        self._known: OrderedDict[str, Refusal] = OrderedDict()
        self._unsure: set[str] = set()  # those of them that were let in because the store didn't answer
        self._wanted: dict[str, None] = {}
        self._next_look: asyncio.Task[None] | None = None
        self._one_look = asyncio.Lock()
        self._asked_ms = wall_ms()

    def expect(self, video_id: str) -> None:
        """Somebody is about to watch the video, and may comment on it: it is looked up with the next news, together
        with all others of that time, so that its first comment needn't wait for a look of its own."""
        if not self._is_open and video_id not in self._known and len(self._wanted) < self._settings.videos_max:
            self._wanted[video_id] = None

    async def check_known(self, video_id: str) -> None:
        """For who wants to watch. Raises VideoUnknown where comments on unknown videos are refused, and waits as
        `check` does; an ended video may be watched."""
        if self._settings.unknown == "refuse":
            with suppress(VideoEnded):
                await self.check(video_id)

    async def check(self, video_id: str) -> None:
        """Raises VideoEnded, VideoUnknown. Waits, look_ms at most, only if the video isn't known."""
        if self.is_checked(video_id):
            return
        self._wanted[video_id] = None
        if self._next_look is None:
            self._next_look = shared(self._look())
        try:
            async with asyncio.timeout(self._settings.look_ms / 1000):
                await asyncio.shield(self._next_look)
        except TimeoutError:
            return
        refusal = self._known.get(video_id)
        if refusal is not None:
            raise refusal(video_id)

    def is_checked(self, video_id: str) -> bool:
        """Whether `check` needn't wait. Raises VideoEnded, VideoUnknown if it needn't and would."""
        refusal = self._known.get(video_id, StoreUnavailable)
        if refusal is StoreUnavailable:
            return self._is_open
        if refusal is not None:
            raise refusal(video_id)
        return True

    def learn(self, video: Video) -> None:
        """The video as it was just stored or read"""
        self._remember(video.id, self._judge(video))

    async def follow(self) -> None:
        """Keeps what is known current, for ever."""
        while not self._is_open:
            await asyncio.sleep(self._settings.news_ms / 1000)
            await self._read_news()
            await self._look()  # those that are expected

    async def _read_news(self) -> None:
        now_ms = wall_ms()
        try:
            from_ms = ask_from(self._asked_ms, now_ms, self._settings.overlap_ms)
            changed = await self._history().changed_videos(from_ms, now_ms)
        except StoreUnavailable:
            return  # asked again from the same time on
        self._asked_ms = now_ms
        if changed is None:
            self._known.clear()
            self._unsure.clear()
            return
        for video in changed:
            if video.id in self._known:
                self.learn(video)
        for video_id in self._unsure:
            self._known.pop(video_id, None)
        self._unsure.clear()

    async def _look(self) -> None:
        """Looks up all that are wanted when the look before it is over. Never fails."""
        async with self._one_look:
            wanted, self._wanted, self._next_look = self._wanted, {}, None
            if not wanted:
                return  # the look before this one has taken them
            found: list[Video] = []
            try:
                async with asyncio.timeout(self._settings.look_ms / 1000):
                    found = await self._history().videos(list(wanted))
            except Exception as error:
                if not isinstance(error, StoreUnavailable | TimeoutError):
                    log.exception("look at videos failed", videos=len(wanted), reason=repr(error))
                for video_id in wanted:
                    self._remember(video_id, None)
                self._unsure.update(wanted)
                return
            for video_id in wanted:
                self._remember(video_id, self._judge(None))
            for video in found:
                self.learn(video)

    def _judge(self, video: Video | None) -> Refusal:
        if video is None:
            return VideoUnknown if self._settings.unknown == "refuse" else None
        return VideoEnded if video.state is State.ENDED and self._settings.ended == "refuse" else None

    def _remember(self, video_id: str, refusal: Refusal) -> None:
        self._known[video_id] = refusal
        self._unsure.discard(video_id)
        if len(self._known) > self._settings.videos_max:
            dropped, _ = self._known.popitem(last=False)
            self._unsure.discard(dropped)
