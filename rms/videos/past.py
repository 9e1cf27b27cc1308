"""Reads a video's comments from history, with a bound on every wait. The store may be away at any time, also at the
start."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import TypeVar

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from history.core.ids import time_of
from history.core.model import Comment, Event
from history.opening import open_reader
from history.store import Log, StoreUnavailable
from proto.tasks import Shared, Supervisor
from rms.config import RmsSettings

log = structlog.stdlib.get_logger()

T = TypeVar("T")

SEED_AGE_MS = 30_000
"""A feed begins with the last half minute or more: viewers who come from a node that has just died resume in it."""


class Past:
    def __init__(self, settings: RmsSettings, tasks: Supervisor) -> None:
        self._settings = settings
        self._tasks = tasks
        self._reader: Log | None = None
        self.reads = 0
        """of the store, begun so far"""
        self._under_way: dict[tuple[str, int, int], Shared[list[Comment]]] = {}

    def start(self) -> None:
        """Begins to open the store, and goes on until it is there."""
        self._tasks.keep("opening of history", self._open)

    async def _open(self) -> None:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(StoreUnavailable),
            wait=wait_random_exponential(multiplier=0.1, max=self._settings.catch_up_retry_ms_max / 1000),
        ):
            with attempt:
                self._reader = await open_reader(self._settings.store)
        log.info("history opened", store=self._settings.store.partition(":")[0])

    async def close(self) -> None:
        """To be called when the supervisor is closed."""
        if self._reader is not None:
            await self._reader.close()

    async def seed(self, video_id: str, at_least: int, now_ms: int) -> tuple[list[Comment], int]:
        """The video's last comments, oldest first, and the id from which on they are all there are.

        At least `at_least`, and all that are younger than SEED_AGE_MS, but no more than `seed_comments_max`. Raises
        StoreUnavailable.
        """
        newest_first: list[Comment] = []
        limit, before, left = max(1, at_least), None, self._settings.seed_comments_max
        while True:
            page = await self._bounded(self._get().events_before(video_id, before, limit))
            newest_first += _comments(page)
            left -= len(page)
            if len(page) < limit:
                return newest_first[::-1], 0
            before = page[-1].id
            is_enough = len(newest_first) >= at_least and time_of(before) < now_ms - SEED_AGE_MS
            if is_enough or left <= 0:
                return newest_first[::-1], before
            limit = min(500, left)

    async def since(self, video_id: str, from_id: int, limit: int) -> list[Comment]:
        """Up to `limit` comments from this id on, oldest first. Raises StoreUnavailable.

        Concurrent calls for the same comments, as after a node's death, share one read.
        """
        key = (video_id, from_id, limit)
        reading = self._under_way.get(key)
        if reading is None:
            read = self._since(video_id, from_id - 1, limit)
            reading = self._under_way[key] = Shared(
                "history read", read, expected=(StoreUnavailable,), on_end=lambda: self._under_way.pop(key)
            )
        return await reading.wait()

    async def _since(self, video_id: str, after: int, limit: int) -> list[Comment]:
        found: list[Comment] = []
        while True:
            wanted = limit - len(found)
            page = await self._bounded(self._get().events(video_id, after, wanted))
            found += _comments(page)
            if len(page) < wanted or len(found) == limit:
                return found
            after = page[-1].id

    def _get(self) -> Log:
        if self._reader is None:
            raise StoreUnavailable("the history has not been opened yet")
        return self._reader

    async def _bounded(self, reading: Coroutine[None, None, T]) -> T:
        self.reads += 1
        try:
            return await asyncio.wait_for(reading, self._settings.history_timeout_ms / 1000)
        except TimeoutError as error:
            raise StoreUnavailable(f"no answer within {self._settings.history_timeout_ms} ms") from error


def _comments(events: Iterable[Event]) -> list[Comment]:
    return [event for event in events if isinstance(event, Comment)]
