"""Which videos this node serves: the first viewer in opens a feed, and a while after the last one it is dropped.

The order in which a feed opens is what keeps comments from falling between history and the live stream:
1. the interest is announced, and every connected dispatcher has acknowledged it: what is published from now on comes;
2. history is read: what was published before was durable before, so the read sees it;
3. what has come since step 1 is appended. The feed drops doubles by id.
The same holds after a dispatcher was away: it says from which id on something may have been missed, and that is read.
"""

import asyncio
from collections.abc import Collection, Coroutine, Iterable, Mapping
from typing import Protocol

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from history.ids import first_id_at
from history.model import Comment, Erasure
from history.store import StoreUnavailable
from rms.asking import Wish
from rms.audience import Audience, Viewer
from rms.config import RmsSettings
from rms.feed import Attach, Feed, NeedsHistory
from rms.past import Past
from rms.position import Position
from rms.rooms import Room, wall_ms
from rms.sse import event_frame
from rms.sweep import Sweeper

log = structlog.stdlib.get_logger()

CATCH_UP_PAGE = 500
"""comments in one read after a dispatcher was away"""


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
        self._tasks: set[asyncio.Task[None]] = set()
        self._reads = asyncio.Semaphore(settings.catch_up_reads)
        self._placings = asyncio.Semaphore(settings.catch_up_reads)  # apart: a viewer waits for no video's catch-up
        self._told: dict[str, int] = {}  # viewers of each video, as last told to the dispatchers
        self.useless = 0
        """comments that came for videos not served here"""

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
            room = self._rooms[video_id] = Room(video_id, self._fallen)
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
        room.feed = Feed(self._settings.feed_limits(), seed, complete_from, now_ms)
        pending, room.pending = room.pending, None
        for comment in pending or ():
            self._append(room, comment)
        room.miss(room.overflow_id)
        self._fill(room)

    def audience(self, room: Room, wish: Wish) -> Audience:
        """Those in the room who want it like this"""
        return room.audience(wish, self._settings.backfill_max)

    async def history_for(self, room: Room, position: Position, backfill: int) -> list[Comment] | None:
        """What must be read before `attach` can place a viewer; None if nothing must. Raises StoreUnavailable."""
        needs = room.feed.resume(position, backfill, wall_ms())
        if isinstance(needs, NeedsHistory):
            return await self._past.since(room.video_id, needs.from_id, self._settings.resume_comments_max + 1)
        return None

    def attach(
        self, room: Room, position: Position | None, backfill: int, history: list[Comment] | None, read: bool = True
    ) -> Attach:
        """Where a viewer enters the log, as it is now. read: False if history could not be read."""
        if position is None:
            return room.feed.join(backfill)
        attach = room.feed.resume(position, backfill, wall_ms(), history)
        if isinstance(attach, NeedsHistory):
            return room.feed.gap(position, backfill, "too_far_behind" if read else "history_unavailable")
        if history:
            self._publish(room)  # what was read may be new to all
        return attach

    async def resume(self, room: Room, position: Position | None) -> Attach:
        """For a viewer that has fallen off the log: from where it stood, at its own pace. Before it would miss a
        heartbeat it goes on, if need be with a gap."""
        backfill, history, read = self._settings.backfill, None, True
        if position is None:
            return room.feed.gap(None, backfill, "too_far_behind")
        try:
            async with asyncio.timeout(self._settings.heartbeat_ms / 1000), self._placings:
                history = await self.history_for(room, position, backfill)
        except (StoreUnavailable, TimeoutError):
            read = False
        return self.attach(room, position, backfill, history, read)

    def _fallen(self, room: Room, viewer: Viewer) -> None:
        self._spawn(self._place_again(room, viewer))

    async def _place_again(self, room: Room, viewer: Viewer) -> None:
        """A slow viewer has fallen off its log: it goes on from where it stood, out of history; but not for ever."""
        viewer.falls += 1
        if viewer.falls > self._settings.falls_max:
            words = event_frame("closed", {"reason": "too_slow"})
            self._sweeper.let_go(viewer, "too_slow", viewer.audience.edition.aside(words))
            return
        room.holds += 1
        try:
            attach = await self.resume(room, viewer.stood_at)
            private, viewer.offset = viewer.audience.edition.attach(attach, wall_ms())
        except BaseException:
            viewer.close()
            raise
        else:
            viewer.head += private
            self._sweeper.add(viewer)
        finally:
            room.holds -= 1

    # Comments

    def deliver(self, comments: Iterable[Comment | Erasure]) -> None:
        """Live comments, as they come, and the word that some are erased; doubles are dropped."""
        for comment in comments:
            room = self._rooms.get(comment.video_id)
            if room is None:
                self.useless += 1
            elif room.pending is None:
                self._append(room, comment)
            elif len(room.pending) < self._settings.opening_comments_max:
                room.pending.append(comment)
            else:
                room.overflow_id = min(room.overflow_id or comment.id, comment.id)

    def _append(self, room: Room, comment: Comment | Erasure) -> None:
        if isinstance(comment, Comment):
            if room.feed.append(comment, wall_ms()):
                self._publish(room)
        elif room.feed.erase(comment, wall_ms()):
            for audience in room.audiences.values():
                audience.edition.forget()
            self._publish(room)

    def _publish(self, room: Room) -> None:
        for audience in room.audiences.values():
            self._sweeper.publish(audience)

    def catch_up(self, from_id: int) -> None:
        """Comments from this id on may have been missed, in any video: reads them, however long the store is away."""
        for room in list(self._rooms.values()):
            room.miss(from_id)
            self._fill(room)

    def _fill(self, room: Room) -> None:
        """One task a room, however often and for however long it is behind."""
        if room.is_behind and not room.catching_up:
            room.catching_up = True
            self._spawn(self._catch_up(room))

    async def _catch_up(self, room: Room) -> None:
        """Tries until nothing is missing, or nobody is left to miss it."""
        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type(StoreUnavailable),
                wait=wait_random_exponential(multiplier=0.1, max=self._settings.catch_up_retry_ms_max / 1000),
            ):
                with attempt:
                    await asyncio.shield(room.opened)
                    while room.is_behind and self._serves(room):
                        async with self._reads:
                            await self._read_some(room)
        finally:
            room.catching_up = False

    def _serves(self, room: Room) -> bool:
        return self._rooms.get(room.video_id) is room

    async def _read_some(self, room: Room) -> None:
        """Raises StoreUnavailable; then the room is still behind."""
        if not self._serves(room):
            return  # no longer, when its turn came
        if room.lacks_past:
            seed, _ = await self._past.seed(room.video_id, self._settings.backfill, wall_ms())
            room.lacks_past = False
            for comment in seed:
                self._append(room, comment)
            return
        # What was said before this feed began isn't new to anybody who came since.
        rest_from, room.missed_from = max(room.missed_from, room.feed.complete_from), 0
        try:
            rest_from = await self._read_page(room, rest_from)
        finally:
            room.miss(rest_from)  # beside what has been missed meanwhile

    async def _read_page(self, room: Room, from_id: int) -> int:
        """Returns the id from which on there is more to read; 0: there isn't."""
        remembered_id = first_id_at(wall_ms() - self._settings.dedupe_ms)
        forgotten = from_id < remembered_id and await self._has_comments(room, from_id, remembered_id)
        page = await self._past.since(room.video_id, max(from_id, remembered_id), CATCH_UP_PAGE)
        if forgotten:
            # So far back the feed can't tell what it has missed from what it has forgotten. Its viewers hear of a gap,
            # and may fill it from pages, rather than get all of that time a second time.
            room.feed.forgo(from_id, remembered_id, wall_ms())
            self._publish(room)
        for comment in page:
            self._append(room, comment)
        return page[-1].id + 1 if len(page) == CATCH_UP_PAGE else 0

    async def _has_comments(self, room: Room, from_id: int, to_id: int) -> bool:
        first = await self._past.since(room.video_id, from_id, 1)
        return bool(first) and first[0].id < to_id

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

    @property
    def rooms(self) -> Collection[Room]:
        return self._rooms.values()

    def drop(self, room: Room) -> None:
        """The video is served no longer."""
        if self._serves(room):
            del self._rooms[room.video_id]
            self._told.pop(room.video_id, None)
            self._interest.leave(room.video_id)

    def count(self, viewers: Mapping[str, int]) -> None:
        """How many watch these videos on all nodes together, says a dispatcher."""
        for video_id, total in viewers.items():
            room = self._rooms.get(video_id)
            if room is not None:
                room.total_viewers = total

    async def close(self) -> None:
        opening = [room.opened for room in self._rooms.values()]
        for task in (*self._tasks, *opening):
            task.cancel()
        await asyncio.gather(*self._tasks, *opening, return_exceptions=True)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("a background read failed", error=repr(error))
