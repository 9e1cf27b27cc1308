"""A spooled store over a real store with faults, and a record of what it has hidden and shown."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from history.core.model import Comment, Comments
from history.spool.draining import Lost, Taken, Withdraw
from history.spool.files import Spool
from history.spool.settings import SpoolSettings
from history.spool.store import SpooledStore
from history.store import Claimed, Outcome, Store, StoreRefuses, StoreUnavailable
from tests.waiting import eventually

SETTINGS = SpoolSettings(
    slow_ms=200, retry_min_ms=1, retry_max_ms=10, drain_batch=7, quick_writes=3, keys_keep_ms=60_000, check_ms=0
)


async def never_withdraw(lost: Lost | Taken) -> None:
    raise AssertionError(f"no key is claimed twice here: {lost}")


class RecordedVisibility:
    """A history.spool.store.Visibility"""

    def __init__(self) -> None:
        self.hidden: list[int] = []
        self.shown = 0

    def hide(self, from_id: int) -> None:
        self.hidden.append(from_id)

    def show(self) -> None:
        self.shown += 1


class FaultyStore:
    """A real store that can be cut off, or stuck for a while. Honest faults of disks and networks have more shades."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.away = False
        self.stuck = False
        self.refuses = False
        """writes, and only these"""
        self.lost: set[str] = set()
        """videos whose partitions take no writes"""
        self.poison: set[str] = set()
        """videos whose comments are refused for good"""
        self.hanging: set[str] = set()
        """videos whose writes don't end"""
        self.bug: Exception | None = None
        """what every call raises that no store should"""
        self.appends = 0
        self.checks = 0

    async def append(self, comments: Sequence[Comment]) -> None:
        self.appends += 1
        await self._write_fault(comments)
        await self._store.append(comments)

    async def append_claimed(self, items: Sequence[Claimed], now_ms: int, keep_ms: int) -> Sequence[Outcome]:
        self.appends += 1
        await self._write_fault([comment for comment, _ in items])
        return await self._store.append_claimed(items, now_ms, keep_ms)

    async def older(self, video_id: str, before: int | None, limit: int) -> Comments:
        await self._fault()
        return await self._store.older(video_id, before, limit)

    async def newer(self, video_id: str, after: int, limit: int) -> Comments:
        await self._fault()
        return await self._store.newer(video_id, after, limit)

    async def check(self) -> None:
        self.checks += 1
        await self._fault()

    async def close(self) -> None:
        await self._store.close()

    async def _write_fault(self, comments: Sequence[Comment]) -> None:
        await self._fault()
        videos = {comment.video_id for comment in comments}
        if videos & self.poison:
            raise StoreRefuses("refused for good by the test")
        if self.refuses or videos & self.lost:
            raise StoreUnavailable("writes are refused by the test")
        await eventually(lambda: not videos & self.hanging, 60)

    async def _fault(self) -> None:
        await eventually(lambda: not self.stuck)
        if self.bug is not None:
            raise self.bug
        if self.away:
            raise StoreUnavailable("cut off by the test")


class SlowToWarmUp(FaultyStore):
    """Its first writes after an outage take their time, as those of a store that was just started."""

    def __init__(self, store: Store, slow_writes: int) -> None:
        super().__init__(store)
        self._slow_writes = slow_writes

    async def append(self, comments: Sequence[Comment]) -> None:
        await super().append(comments)
        if self._slow_writes:
            self._slow_writes -= 1
            await asyncio.sleep(SETTINGS.slow_ms / 1000)  # longer than half of it, whatever else the machine does


class Parts:
    def __init__(self, inner: Store, path: Path, bytes_max: int = 100_000, withdraw: Withdraw = never_withdraw) -> None:
        self.inner = FaultyStore(inner)
        self.visibility = RecordedVisibility()
        self.spool = Spool.open(path / "spool", bytes_max=bytes_max, segment_bytes_max=1_000)
        self.store = SpooledStore(self.inner, self.spool, self.visibility, SETTINGS, withdraw)
        self.draining = asyncio.create_task(self.store.drain())

    async def close(self) -> None:
        self.draining.cancel()
        with suppress(asyncio.CancelledError):
            await self.draining
        await self.store.close()
