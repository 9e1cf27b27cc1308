"""Reads a video's comments from history, with a bound on every wait. The store may be away at any time, also at the
start."""

import asyncio
from collections import deque
from collections.abc import Collection, Coroutine, Iterable
from typing import TypeVar

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from history.core import model
from history.core.ids import ID_MAX, time_of
from history.core.stream_data import name_and_data
from history.core.video import Video
from history.opening import open_reader
from history.store import NodeReader, StoreRefuses, StoreUnavailable
from proto.tasks import Shared, Supervisor
from rms.config import RmsSettings
from rms.feed.event import AUTHOR_PURGED, Event, read_from

log = structlog.stdlib.get_logger()

T = TypeVar("T")

SEED_AGE_MS = 30_000
"""A feed begins with the last half minute or more: viewers who come from a node that has just died resume in it."""


class Past:
    def __init__(self, settings: RmsSettings, tasks: Supervisor) -> None:
        self._settings = settings
        self._tasks = tasks
        self._reader: NodeReader | None = None
        self.trouble = ""
        """why history can't be read, if somebody has to mend it or it was never open; else empty"""
        self.reads = 0
        """of the store's events, begun so far; what is known of videos isn't counted"""
        self.reads_most = 0
        """at the same time, so far"""
        self._turns = _Turns(settings.history_reads_max)
        self._under_way: dict[tuple[str, int, int], Shared[list[Event]]] = {}

    def start(self) -> None:
        """Begins to open the store, and goes on until it is there."""
        self._tasks.keep("opening of history", self._open)

    async def _open(self) -> None:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(StoreUnavailable),
            wait=wait_random_exponential(multiplier=0.1, max=self._settings.catch_up_retry_ms_max / 1000),
            before_sleep=self._note_failure,
        ):
            with attempt:
                self._reader = await open_reader(self._settings.store, self._settings.store_settings())
        self.trouble = ""
        log.info("history opened", store=self._settings.store.partition(":")[0])

    def _note_failure(self, attempt: RetryCallState) -> None:
        """Logs a reason when it is a new one."""
        reason = str(attempt.outcome.exception()) if attempt.outcome else ""
        if reason != self.trouble:
            log.warning("history can't be opened, trying again", reason=reason)
        self.trouble = reason

    async def close(self) -> None:
        """To be called when the supervisor is closed."""
        if self._reader is not None:
            await self._reader.close()

    async def seed(
        self, video_id: str, at_least: int, now_ms: int, back_to_id: int = ID_MAX
    ) -> tuple[list[Event], int]:
        """The video's last events, oldest first, and the id from which on they are all there are.

        At least `at_least` comments that can be seen, all events that are younger than SEED_AGE_MS, and all from
        `back_to_id` on, but no more than `seed_events_max`. Raises StoreUnavailable.
        """
        newest_first: list[model.Event] = []
        limit, before, comments = max(1, at_least), None, 0
        while True:
            page = await self._bounded(self._get().events_before(video_id, before, limit))
            newest_first += page
            if len(page) < limit:
                return _events(newest_first[::-1], 0), 0
            before = page[-1].id
            comments += sum(isinstance(event, model.Comment) for event in page)
            has_enough = comments >= at_least and time_of(before) < now_ms - SEED_AGE_MS and before <= back_to_id
            if has_enough or len(newest_first) >= self._settings.seed_events_max:
                return _events(newest_first[::-1], before), before
            limit = min(500, self._settings.seed_events_max - len(newest_first))

    async def older(self, video_id: str, before_id: int, limit: int) -> list[Event]:
        """Up to `limit` comments below this id that can be seen, oldest first. Raises StoreUnavailable."""
        found = await self._bounded(self._get().older(video_id, before_id, limit))
        return _events(found.comments[::-1], 0)

    async def since(self, video_id: str, from_id: int, limit: int) -> list[Event]:
        """Up to `limit` events from this id on, oldest first. Raises StoreUnavailable.

        Concurrent calls for the same events, as after a node's death, share one read.
        """
        key = (video_id, from_id, limit)
        reading = self._under_way.get(key)
        if reading is None:
            read = self._read_since(video_id, from_id, limit)
            reading = self._under_way[key] = Shared(
                "history read", read, expected=(StoreUnavailable,), on_end=lambda: self._under_way.pop(key)
            )
        return await reading.wait()

    async def videos(self, video_ids: Collection[str]) -> list[Video]:
        """Those of them that somebody has added. Raises StoreUnavailable."""
        return await self._bounded(self._get().videos(list(video_ids)), of_events=False)

    async def changed_videos(self, since_ms: int, now_ms: int) -> list[Video] | None:
        """As `history.store.VideoReader`. Raises StoreUnavailable."""
        return await self._bounded(self._get().changed_videos(since_ms, now_ms), of_events=False)

    async def _read_since(self, video_id: str, from_id: int, limit: int) -> list[Event]:
        return _events(await self._bounded(self._get().events(video_id, from_id - 1, limit)), from_id)

    def _get(self) -> NodeReader:
        if self._reader is None:
            raise StoreUnavailable("the history has not been opened yet")
        return self._reader

    async def _bounded(self, reading: Coroutine[None, None, T], *, of_events: bool = True) -> T:
        try:
            await self._turns.wait()
        except BaseException:
            reading.close()
            raise
        self.reads += of_events
        self.reads_most = max(self.reads_most, self._turns.taken)
        try:
            found = await asyncio.wait_for(reading, self._settings.history_timeout_ms / 1000)
            self.trouble = ""
            return found
        except StoreRefuses as error:
            self.trouble = str(error)
            raise
        except TimeoutError as error:
            away = StoreUnavailable(f"no answer within {self._settings.history_timeout_ms} ms")
            self._turns.refuse(away)
            raise away from error
        finally:
            self._turns.end()


class _Turns:
    """So many reads at once. The others wait in line for as long as it takes; but behind a store that hangs, which one
    read finds out, all give up together."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._line: deque[asyncio.Future[None]] = deque()
        self.taken = 0

    async def wait(self) -> None:
        """For a turn, which `end` ends. Raises what `refuse` was given; then there is none."""
        if self.taken < self._most:
            self.taken += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.end()  # it was given in the same moment
            raise

    def end(self) -> None:
        while self._line:
            turn = self._line.popleft()
            if not turn.done():
                turn.set_result(None)  # it passes from one to the next
                return
        self.taken -= 1

    def refuse(self, error: StoreUnavailable) -> None:
        """Sends all away that wait."""
        line, self._line = self._line, deque()
        for turn in line:
            if not turn.done():
                turn.set_exception(error)


def _events(found: Iterable[model.Event], from_id: int) -> list[Event]:
    return read_from(map(_event, found), from_id)


def _event(found: model.Event) -> Event:
    """As a feed takes it. A comment that can't be seen has no data: it is counted."""
    if isinstance(found, model.Change):
        name, data = name_and_data(found)
        target_id = found.up_to_id if found.kind == AUTHOR_PURGED else found.target_id
        return Event(found.id, data, found.kind, name, target_id, found.author_id, found.after_id)
    name, data = name_and_data(found)
    return Event(found.id, data, after_id=found.after_id)
