"""A store that is opened in the background, so that the service can start while it is away.

Logs once when the store goes away and once when it is back, however many calls fail in between.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from history.core.model import Comment, Comments
from history.store import Claimed, IdTaken, Outcome, Store, StoreRefuses, StoreUnavailable

log = structlog.stdlib.get_logger()

T = TypeVar("T")


class LazyStore:
    """A history.store.Store. Belongs to one event loop. Until `open` has returned, each call raises
    StoreUnavailable, or StoreRefuses if that was the reason of the last attempt."""

    def __init__(self, open_store: Callable[[], Awaitable[Store]], *, retry_max_ms: int, slow_ms: int) -> None:
        """open_store is called until it doesn't raise StoreUnavailable, with jittered waits up to retry_max_ms. A first
        call that takes longer than slow_ms, as when a schema is made, counts as tried."""
        self._open_store = open_store
        self._retry_max_ms = retry_max_ms
        self._slow_ms = slow_ms
        self._store: Store | None = None
        self._away = False
        self._refusal: str | None = None  # why it can't be opened until somebody mends it
        self.tried = asyncio.Event()
        """opened, or known to be away; and away is a store, too, that takes long to open"""

    async def open(self) -> None:
        """Returns when the store is open. Raises what `open_store` raises, but for StoreUnavailable."""
        asyncio.get_running_loop().call_later(self._slow_ms / 1000, self.tried.set)
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(StoreUnavailable),
            wait=wait_random_exponential(multiplier=0.2, max=self._retry_max_ms / 1000),
            before_sleep=self._log_failure,
        ):
            with attempt:
                self._store = await self._open_store()
        self.tried.set()
        log.info("store open")

    async def append(self, comments: Sequence[Comment]) -> None:
        await self._watched(self._opened().append(comments))

    async def append_claimed(self, items: Sequence[Claimed], now_ms: int, keep_ms: int) -> Sequence[Outcome]:
        return await self._watched(self._opened().append_claimed(items, now_ms, keep_ms))

    async def older(self, video_id: str, before: int | None, limit: int) -> Comments:
        return await self._watched(self._opened().older(video_id, before, limit))

    async def newer(self, video_id: str, after: int, limit: int) -> Comments:
        return await self._watched(self._opened().newer(video_id, after, limit))

    async def check(self) -> None:
        await self._watched(self._opened().check())

    async def close(self) -> None:
        """`open` must have ended, or been cancelled."""
        if self._store is not None:
            await self._store.close()

    def _opened(self) -> Store:
        if self._store is None:
            if self._refusal is not None:
                raise StoreRefuses(self._refusal)
            raise StoreUnavailable("the store has not been opened yet")
        return self._store

    async def _watched(self, call: Awaitable[T]) -> T:
        """Logs when the store goes away and when it is back."""
        try:
            result = await call
        except IdTaken:
            raise
        except StoreUnavailable as error:
            if not self._away:
                log.warning("store away", reason=str(error))
            self._away = True
            raise
        if self._away:
            log.info("store back")
        self._away = False
        return result

    def _log_failure(self, attempt: RetryCallState) -> None:
        """Logs the first failure, and every tenth after it."""
        self.tried.set()
        error = None if attempt.outcome is None else attempt.outcome.exception()
        self._refusal = str(error) if isinstance(error, StoreRefuses) else None
        if attempt.attempt_number % 10 == 1 and attempt.outcome is not None:
            log.warning(
                "store away, trying again", attempt=attempt.attempt_number, reason=str(attempt.outcome.exception())
            )
