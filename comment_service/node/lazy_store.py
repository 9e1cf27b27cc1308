"""A store that may be away: at the start it is opened in the background, and later its going and coming is logged."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from history.core.model import Comment
from history.store import Store, StoreUnavailable

log = structlog.stdlib.get_logger()

Answer = TypeVar("Answer")


class LateStore:
    """A history.store.Store. Belongs to one event loop."""

    def __init__(self, open_store: Callable[[], Awaitable[Store]], *, retry_max_ms: int) -> None:
        """open_store is called until it doesn't raise StoreUnavailable, with jittered waits up to retry_max_ms."""
        self._open_store = open_store
        self._retry_max_ms = retry_max_ms
        self._store: Store | None = None
        self._opening: asyncio.Task[None] | None = None
        self._away = False
        self.tried = asyncio.Event()
        """opened, or known to be away"""

    def start(self) -> "asyncio.Task[None]":
        """Begins to open the store. The task ends when it is open, or raises what is no StoreUnavailable."""
        self._opening = asyncio.create_task(self._open())
        return self._opening

    async def append(self, comments: Sequence[Comment]) -> None:
        await self._watched(self._opened().append(comments))

    async def older(self, video_id: str, before: int | None, limit: int) -> list[Comment]:
        return await self._watched(self._opened().older(video_id, before, limit))

    async def newer(self, video_id: str, after: int, limit: int) -> list[Comment]:
        return await self._watched(self._opened().newer(video_id, after, limit))

    async def check(self) -> None:
        await self._watched(self._opened().check())

    async def close(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):  # `start`'s caller has seen the exception
                await self._opening
        if self._store is not None:
            await self._store.close()

    def _opened(self) -> Store:
        if self._store is None:
            raise StoreUnavailable("the store has not been opened yet")
        return self._store

    async def _watched(self, call: Awaitable[Answer]) -> Answer:
        """One log line when the store goes and one when it is back, however many calls fail in between"""
        try:
            answer = await call
        except StoreUnavailable as error:
            if not self._away:
                log.warning("store away", reason=str(error))
            self._away = True
            raise
        if self._away:
            log.info("store back")
        self._away = False
        return answer

    async def _open(self) -> None:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(StoreUnavailable),
            wait=wait_random_exponential(multiplier=0.2, max=self._retry_max_ms / 1000),
            before_sleep=self._say_away,
        ):
            with attempt:
                self._store = await self._open_store()
        self.tried.set()
        log.info("store open")

    def _say_away(self, attempt: RetryCallState) -> None:
        """The first failure, and every tenth after it"""
        self.tried.set()
        if attempt.attempt_number % 10 == 1 and attempt.outcome is not None:
            log.warning(
                "store away, trying again", attempt=attempt.attempt_number, reason=str(attempt.outcome.exception())
            )
