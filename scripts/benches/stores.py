"""Makes empty stores for a bench, and fills them: a video's past, a million comments, texts of a given length."""

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from history.config import StoreSettings
from history.core.ids import first_id_at
from history.core.model import Author, Comment
from history.opening import open_reader, open_store
from scripts.benches.cassandra import BenchCassandra
from scripts.benches.config import HistorySettings
from scripts.benches.schedule import VIDEO

DEEP, OTHER = "deep", "other"
"""The video with a page at depth 1,000,000, and one that is read before it, so that no connection is new"""

STORES = ("sqlite", "cassandra")
NEVER_MS = 1 << 50
ANN = Author("guest:Ann", "Ann")


@dataclass(frozen=True, slots=True)
class BenchStore:
    kind: str
    url: str
    folder: Path
    cassandra: BenchCassandra | None

    @property
    def pids(self) -> Mapping[str, int]:
        """The store's own processes by name"""
        return {"cassandra": self.cassandra.pid} if self.cassandra else {}

    async def restart(self) -> None:
        """Returns when all is on the disk and the store's process, if it has one, has begun anew."""
        if self.cassandra:
            await self.cassandra.restart()

    def tombstone_warnings(self) -> int:
        """In the log of the store's process"""
        return self.cassandra.warnings("tombstone") if self.cassandra else 0

    def chill(self) -> None:
        """Drops SQLite's file from the kernel's page cache. Cassandra's are mapped into it, and can't be dropped."""
        if self.cassandra is None:
            drop_file(self.folder / "comments.db")


@asynccontextmanager
async def a_store(kind: str) -> AsyncIterator[BenchStore]:
    """kind: sqlite or cassandra. It is gone at the end. Raises BenchFailed."""
    with tempfile.TemporaryDirectory(prefix="bench-history-") as name:
        folder = Path(name)
        if kind == "sqlite":
            yield BenchStore(kind, f"sqlite:{folder / 'comments.db'}", folder, None)
            return
        async with BenchCassandra(1) as cassandra:
            yield BenchStore(kind, cassandra.url, folder, cassandra)


def drop_file(path: Path) -> None:
    """From the kernel's page cache"""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(file)


async def fill(url: str, settings: HistorySettings) -> None:
    """Stores what people have said before the first reader comes, one a second."""
    now_ms = time.time_ns() // 1_000_000
    said_ms = [now_ms - (settings.past - n) * 1000 for n in range(settings.past)]
    await _append(url, [[Comment(first_id_at(ms), VIDEO, ANN, settings.message, ms) for ms in said_ms]])


async def load_deep(url: str, settings: HistorySettings) -> float:
    """Stores `depth` comments and a page below them; returns how many a second. Raises StoreUnavailable."""
    count, size = settings.depth + settings.page, settings.depth_batch
    # Many: SQLite keeps them beside the first page, and reading the newest of them must not warm that.
    await _append(url, [[_deep_comment(OTHER, number, settings) for number in range(settings.past)]])
    batches = (
        [_deep_comment(DEEP, number, settings) for number in range(begin, min(begin + size, count))]
        for begin in range(0, count, size)
    )
    begin_s = time.monotonic()
    await _append(url, batches, writers=settings.writes_max)
    return count / (time.monotonic() - begin_s)


async def depth(url: str, settings: HistorySettings, chill: Callable[[], None]) -> tuple[list[float], list[float]]:
    """Times of the first page and of one at the depth, in ms; each read is by a store that was just opened.

    chill: makes the store as cold as it can be, before each read. First and deep pages take turns.
    """
    times_ms: dict[int | None, list[float]] = {None: [], _deep_id(settings.page, settings): []}
    for _ in range(settings.depth_pages):
        for cursor, taken in times_ms.items():
            reader = await open_reader(url)
            try:
                await reader.older(OTHER, None, 1)
                chill()
                begin_s = time.perf_counter()
                comments = (await reader.older(DEEP, cursor, settings.page)).comments
                taken.append((time.perf_counter() - begin_s) * 1000)
            finally:
                await reader.close()
            assert len(comments) == settings.page, "the page isn't where it should be"
    first_ms, deep_ms = times_ms.values()
    return first_ms, deep_ms


async def _append(url: str, batches: Iterable[list[Comment]], writers: int = 1) -> None:
    store = await open_store(url, StoreSettings(late_ms=NEVER_MS))  # all of it is old; nobody is notified of it
    waiting = iter(batches)

    async def write() -> None:
        for batch in waiting:
            await store.append(batch)

    try:
        await asyncio.gather(*(write() for _ in range(writers)))
    finally:
        await store.close()


def _deep_comment(video_id: str, number: int, settings: HistorySettings) -> Comment:
    """number: 0 is the oldest"""
    return Comment(_deep_id(number, settings), video_id, ANN, settings.message, number)


def _deep_id(number: int, settings: HistorySettings) -> int:
    return first_id_at(1_760_000_000_000 + number * settings.depth_step_ms)
