"""Finds where a viewer enters its video's log: a new one, one that comes back, or one that was too slow for the log."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from weakref import WeakKeyDictionary

from history.core.ids import time_of
from history.store import StoreUnavailable
from proto.tasks import Supervisor
from rms.clocks import wall_ms
from rms.config import RmsSettings
from rms.feed.byte_log import FeedOffset
from rms.feed.entry import Attach
from rms.feed.event import Event
from rms.feed.position import Position, parse_position
from rms.feed.resuming import NeedsHistory
from rms.feed.sse import event_frame, older_frame
from rms.sending.audience import CountedViewer, Viewer
from rms.sending.sweep import Sweeper
from rms.videos.past import Past
from rms.videos.video import ServedVideo

REREADS_MAX = 3
"""of a viewer's past, while the feed changes"""


class Entering:
    def __init__(
        self,
        settings: RmsSettings,
        past: Past,
        sweeper: Sweeper,
        tasks: Supervisor,
        on_behind: Callable[[ServedVideo], None],
        look: Callable[[ServedVideo], Awaitable[None]],
    ) -> None:
        """on_behind: called with a video of which something is still to be read from history. look: reads what may have
        gone by this node until now."""
        self._look = look
        self._on_behind = on_behind
        self._settings = settings
        self._past = past
        self._sweeper = sweeper
        self._tasks = tasks
        self.falls: WeakKeyDictionary[Viewer, int] = WeakKeyDictionary()
        """how often each has fallen off the log: of the few that have, so that the others are smaller"""
        self._reads = asyncio.Semaphore(settings.catch_up_reads)  # its own: a viewer waits for no video's catch-up

    async def history_for(
        self,
        video: ServedVideo,
        position: Position | None,
        backfill: int,
        before_read: Callable[[], None] = lambda: None,
    ) -> list[Event] | None:
        """Reads what `attach` needs from history; None: it needs nothing. Raises StoreUnavailable, and what
        `before_read` raises, which is called only if there is something to read."""
        feed = video.feed
        if video.feed.lacks_past:
            return None
        await self._look(video)
        if position is None:
            missing = backfill - feed.comments_held()
            if missing <= 0 or not feed.held_from:
                return None
            before_read()
            return await self._past.older(video.video_id, feed.held_from, missing)
        if self._is_forged(video, position):
            return None
        needs = video.resuming.resume(position, backfill, wall_ms())
        if isinstance(needs, NeedsHistory):
            before_read()
            return await self._past.since(video.video_id, needs.from_id, self._settings.resume_events_max + 1)
        return None

    @asynccontextmanager
    async def room(self, video: ServedVideo, position: Position | None, key: str | None) -> AsyncIterator[None]:
        """In it the viewer can enter without a gap for want of room: the feed has all that it has, or there may be one
        more form of the stream, without that. What it waits for comes within moments: viewers of a drained node are
        each some milliseconds ahead of a feed that was just opened, at as many positions as there are viewers. After
        `claims_wait_ms` it enters as it is. key: see Allowances."""
        promised = None
        if position is not None and not self._is_forged(video, position):
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.claims_wait_ms / 1000):
                    promised = await self._find_room(video, position, key)
        try:
            yield
        finally:
            if promised is not None:
                video.take_room_back(promised)

    async def _find_room(self, video: ServedVideo, position: Position, key: str | None) -> Position | None:
        """The claims for which room was promised; None: none is needed."""
        while video.feed.lacks_past or video.resuming.is_ahead(position):
            claims = video.resuming.claims_of(position)
            if self._has_room(video, claims, key):
                video.promise_room(claims)
                return claims
            await video.grown()
        return None

    def attach(
        self,
        video: ServedVideo,
        position: Position | None,
        backfill: int,
        history: list[Event] | None,
        read: bool = True,
        key: str | None = None,
    ) -> Attach[FeedOffset]:
        """Where a viewer enters the log, as it is now. position: None for a new viewer. history: from `history_for`.
        read: False if that has failed. key: see Allowances."""
        if position is None:
            joined = video.feed.join(backfill)
            feed, held = video.feed, set(video.feed.ids) if history else set()
            found = (each for each in history or () if each.data and not feed.must_not_show(each))
            # One that came late is below `held_from`, and in the log.
            older = b"".join(older_frame(each.data) for each in found if each.id not in held)
            if joined.offset == feed.log.end and not joined.private:
                # Nothing else has an id. Cut now, the viewer would come back as a new one, and not know what it missed.
                count = {"viewers": max(video.viewers, video.total_viewers)}
                older += event_frame("viewers", count, feed.text())
            return joined._replace(private=older + joined.private)
        if self._is_forged(video, position):
            return video.resuming.gap(None, backfill, "unknown_position")
        if not read and position.sure_from >= video.feed.held_from:
            history = []  # what it lacks is here; and what it has beyond that, the feed will get later
        attach = video.resuming.resume(position, backfill, wall_ms(), history)
        if isinstance(attach, NeedsHistory):
            return video.resuming.gap(position, backfill, "too_far_behind" if read else "history_unavailable")
        if history:  # what was read may be new to all
            video.take_over()
            video.publish()
            self._on_behind(video)
        return self._bounded(video, position, backfill, attach, key)

    def _bounded(
        self, video: ServedVideo, position: Position, backfill: int, attach: Attach[FeedOffset], key: str | None
    ) -> Attach[FeedOffset]:
        if attach.claims is None or self._has_room(video, attach.claims, key):
            return attach
        return video.resuming.gap(position, backfill, "too_far_behind")

    def _has_room(self, video: ServedVideo, claims: Position, key: str | None) -> bool:
        settings = self._settings
        return video.find_room_for_claims(claims, key, settings.claims_max, settings.claims_per_address_max)

    def _is_forged(self, video: ServedVideo, position: Position) -> bool:
        """Whether no service can have given it yet: it lies further ahead than two clocks may be apart, of which each
        is off by as much as it may. The feed's own ids tell the time, too: of a service whose clock is wrong, or if
        this node's is."""
        now_ms = max(wall_ms(), time_of(video.feed.had.high or 0))
        return time_of(position.high) > now_ms + 2 * self._settings.clock_off_ms_max

    async def place(
        self,
        video: ServedVideo,
        position: Position | None,
        backfill: int,
        history: list[Event] | None,
        read: bool = True,
        key: str | None = None,
        held_from: int | None = None,
    ) -> Attach[FeedOffset]:
        """As `attach`. What it needs from history only since `history_for` was asked is read now: meanwhile the feed
        has got its past, or dropped a part of its log. Nothing runs between finding the place and returning it.

        held_from: the feed's, before `history_for` was asked. A log that drops something for each comment that comes
        ends the reading after REREADS_MAX: its new viewer gets as much of the past as was read last.
        """
        for _ in range(REREADS_MAX):
            if not read or not self._lacks(video, position, backfill, history, held_from):
                break
            held_from = video.feed.held_from
            try:
                history = await self.history_for(video, position, backfill)
            except StoreUnavailable:
                read = False
        return self.attach(video, position, backfill, history, read, key)

    def _lacks(
        self,
        video: ServedVideo,
        position: Position | None,
        backfill: int,
        history: list[Event] | None,
        held_from: int | None,
    ) -> bool:
        """Whether the viewer needs more from history than was read of it. A new one whose backfill was all in the log
        doesn't: what the log has dropped since was the oldest of it, and leaves no hole."""
        if position is None:
            return history is not None and video.feed.held_from != held_from
        needs = None if history is not None else video.resuming.resume(position, backfill, wall_ms())
        return isinstance(needs, NeedsHistory)

    async def resume(self, video: ServedVideo, stood_at: bytes | None, key: str | None = None) -> Attach[FeedOffset]:
        """Where a viewer enters that has fallen off the log at this position, with what it lacks out of history. If the
        read takes longer than `heartbeat_ms`, or fails, the viewer gets a gap. key: see Allowances."""
        backfill, history, read = self._settings.backfill, None, True
        if stood_at is None:
            return video.resuming.gap(None, backfill, "too_far_behind")
        position = parse_position(stood_at.decode())
        try:
            async with asyncio.timeout(self._settings.heartbeat_ms / 1000), self._reads:
                history = await self.history_for(video, position, backfill)
        except (StoreUnavailable, TimeoutError):
            read = False
        return self.attach(video, position, backfill, history, read, key)

    def fallen(self, video: ServedVideo, viewer: Viewer) -> None:
        """Takes a slow viewer that has fallen off its log: it goes on from where it stood, out of history. After
        `falls_max` times it is closed."""
        self._tasks.spawn("viewer entering again", self._enter_again(video, viewer))

    async def _enter_again(self, video: ServedVideo, viewer: Viewer) -> None:
        video.holds += 1
        try:
            self.falls[viewer] = self.falls.get(viewer, 0) + 1
            if self.falls[viewer] > self._settings.falls_max:
                words = event_frame("closed", {"reason": "too_slow"})
                edition = viewer.audience.edition
                self._sweeper.close_detached(viewer, "too_slow", edition.aside(words) + edition.last)
                return
            key = viewer.seat.key if isinstance(viewer, CountedViewer) else None
            attach = await self.resume(video, viewer.stood_at, key)
            form = viewer.audience.form._replace(claims=attach.claims)
            viewer.audience = video.audience(form, self._settings.backfill_max)
            private, viewer.offset, _ = viewer.audience.edition.attach(attach, wall_ms())
        except BaseException:
            viewer.close()
            raise
        else:
            viewer.head += private
            self._sweeper.add(viewer)
        finally:
            video.holds -= 1
