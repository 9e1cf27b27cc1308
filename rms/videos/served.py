"""Which videos this node serves: the first viewer in opens a feed, and a while after the last one it is dropped.

The order in which a feed opens is what keeps comments from falling between history and the live stream:
1. the interest is announced, and every connected dispatcher has acknowledged it: what is published from now on comes;
2. history is read: what was published before was durable before, so the read sees it;
3. what has come since step 1 is appended. The feed drops doubles by id.
The same holds after a dispatcher was away: it says from which id on something may have been missed, and that is read.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

import structlog

from history.core.ids import first_id_at
from history.core.model import Comment, Erasure
from history.store import StoreUnavailable
from rms.clocks import wall_ms
from rms.config import RmsSettings
from rms.feed.feed import Feed
from rms.sending.audience import Audience
from rms.sending.sweep import Sweeper
from rms.videos.background import Background
from rms.videos.catching_up import CatchingUp
from rms.videos.entering import Placing
from rms.videos.past import Past
from rms.videos.request import Wish
from rms.videos.video import Room

log = structlog.stdlib.get_logger()


class TooManyVideos(Exception):
    """This node serves as many videos as it may."""


class Interest(Protocol):
    """Tells the dispatchers which videos are served here."""

    async def join(self, video_id: str) -> None:
        """Returns when every connected dispatcher routes the video's comments here."""

    def leave(self, video_id: str) -> None: ...


class Feeds:
    def __init__(self, settings: RmsSettings, past: Past, sweeper: Sweeper) -> None:
        self._settings = settings
        self._past = past
        self._sweeper = sweeper
        self._interest: Interest
        self._rooms: dict[str, Room] = {}
        self._background = Background()
        self._catching_up = CatchingUp(settings, past, self._background)
        self.placing = Placing(settings, past, sweeper, self._background)
        """of viewers in these rooms"""
        self._told: dict[str, int] = {}  # viewers of each video, as last told to the dispatchers
        self.useless = 0
        """comments that came for videos not served here"""
        self.late = 0
        """comments that came too late to tell whether they were here"""

    def use(self, interest: Interest) -> None:
        """To be called once, before the first viewer."""
        self._interest = interest

    def __len__(self) -> int:
        """videos served"""
        return len(self._rooms)

    # Viewers

    async def enter(self, video_id: str) -> Room:
        """The video's room, open; opened now if need be, once however many wait. The caller has a hold on it: a viewer
        on its way in, or a streamed one. Give it back with `let_go`. Raises TooManyVideos."""
        room = self._rooms.get(video_id)
        if room is None:
            if len(self._rooms) >= self._settings.videos_max:
                raise TooManyVideos
            room = self._rooms[video_id] = Room(video_id, self._sweeper, self.placing.fallen)
            room.opened = asyncio.create_task(self._open(room))
        room.holds += 1
        try:
            await asyncio.shield(room.opened)
        except BaseException:
            room.holds -= 1
            raise
        return room

    def let_go(self, room: Room) -> None:
        room.holds -= 1

    async def _open(self, room: Room) -> None:
        await self._interest.join(room.video_id)
        now_ms = wall_ms()
        try:
            seed, complete_from = await self._past.seed(room.video_id, self._settings.backfill_max, now_ms)
        except StoreUnavailable as away:
            # People go on talking: the live comments come, and the past follows when it can be read.
            log.warning("feed opened without its past", video=room.video_id, reason=str(away))
            seed, complete_from = [], first_id_at(now_ms)
            room.lacks_past = True
        room.open(Feed(self._settings.feed_limits(), seed, complete_from, now_ms))
        self._catching_up.fill(room)

    def audience(self, room: Room, wish: Wish) -> Audience:
        """Those in the room who want it like this"""
        return room.audience(wish, self._settings.backfill_max)

    # Comments

    def deliver(self, comments: Iterable[Comment | Erasure]) -> None:
        """Live comments, as they come, and the word that some are erased; doubles are dropped."""
        late: dict[Room, list[int]] = {}
        for comment in comments:
            room = self._rooms.get(comment.video_id)
            if room is None:
                self.useless += 1
            elif room.is_open and room.is_too_late(comment):
                late.setdefault(room, []).append(comment.id)
            elif room.pending is None:
                room.append(comment)
            elif len(room.pending) < self._settings.opening_comments_max:
                room.pending.append(comment)
            else:
                room.overflow_id = min(room.overflow_id or comment.id, comment.id)
        for room, ids in late.items():  # they are in history, as all is that is published
            self.late += len(ids)
            room.forgo(min(ids), max(ids) + 1)

    def catch_up(self, from_id: int, live_waits: bool) -> None:
        """Comments from this id on may have been missed, in any video: reads them, however long the store is away.

        live_waits: what comes meanwhile goes behind them, but waits no longer than `catch_up_hold_ms`.
        """
        for room in list(self._rooms.values()):
            room.miss(from_id)
            if live_waits:
                self._catching_up.hold(room)
            self._catching_up.fill(room)

    # What the dispatchers are told

    def serving(self) -> dict[str, int]:
        """Viewers of every video served here. What `changed_viewers` says next is told against this."""
        self._told = {room.video_id: room.viewers for room in self._rooms.values()}
        return dict(self._told)

    def changed_viewers(self) -> tuple[dict[str, int], int]:
        """The videos whose number of viewers has changed since last asked, and the viewers of all videos together"""
        now = {room.video_id: room.viewers for room in self._rooms.values()}
        changed = {video_id: viewers for video_id, viewers in now.items() if viewers != self._told.get(video_id)}
        self._told = now
        return changed, sum(now.values())

    def count(self, viewers: Mapping[str, int]) -> None:
        """How many watch these videos on all nodes together, says a dispatcher."""
        for video_id, total in viewers.items():
            room = self._rooms.get(video_id)
            if room is not None:
                room.total_viewers = total

    # What time brings about

    @property
    def rooms(self) -> Collection[Room]:
        return self._rooms.values()

    def drop(self, room: Room) -> None:
        """The video is served no longer."""
        if room.served:
            room.served = False
            del self._rooms[room.video_id]
            self._told.pop(room.video_id, None)
            self._interest.leave(room.video_id)

    async def close(self) -> None:
        opening = [room.opened for room in self._rooms.values()]
        for task in opening:
            task.cancel()
        await asyncio.gather(self._background.close(), *opening, return_exceptions=True)
