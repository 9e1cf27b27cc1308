"""What a page at depth 1,000,000 costs, beside the first one, when nothing of ours is cached.

All comments lie in one video. Each read is one by a store that was just opened, so no connection, statement or cache is
warm but for the one read of another video before it; SQLite's file is dropped from the kernel's page cache, too, and
Cassandra was restarted after the load. First and deep pages take turns.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from history.config import StoreSettings
from history.core.ids import first_id_at
from history.core.model import Author, Comment
from history.opening import open_reader, open_store
from scripts.benches.history_config import HistorySettings

VIDEO = "deep"
OTHER_VIDEO = "other"
NEVER_MS = 1 << 50

LOADING = StoreSettings(late_ms=NEVER_MS)
"""All of it is old; nobody has to be told."""


@dataclass(frozen=True, slots=True)
class Depth:
    first_ms: float
    deep_ms: float

    @property
    def ratio(self) -> float:
        return self.deep_ms / self.first_ms


async def load_deep(url: str, settings: HistorySettings) -> float:
    """Stores `depth` comments and a page below them; how many a second. Raises StoreUnavailable."""
    store = await open_store(url, LOADING)
    count = settings.depth + settings.page
    begin_s = time.monotonic()
    try:
        # Many: SQLite keeps them beside the first page, and reading the newest of them must not warm that.
        await store.append([_comment(OTHER_VIDEO, number, settings) for number in range(settings.past)])
        batches = iter(range(0, count, settings.depth_batch))

        async def write() -> None:
            for begin in batches:
                end = min(begin + settings.depth_batch, count)
                await store.append([_comment(VIDEO, number, settings) for number in range(begin, end)])

        await asyncio.gather(*(write() for _ in range(settings.writes_max)))
        return count / (time.monotonic() - begin_s)
    finally:
        await store.close()


async def depth(url: str, settings: HistorySettings, chill: Callable[[], None]) -> Depth:
    """Medians. chill: makes the store as cold as it can be, before each read. Raises StoreUnavailable."""
    deep_cursor = _id(settings.page, settings)
    times_ms: dict[int | None, list[float]] = {None: [], deep_cursor: []}
    for _ in range(settings.depth_pages):
        for cursor, taken in times_ms.items():
            reader = await open_reader(url)
            try:
                await reader.older(OTHER_VIDEO, None, 1)
                chill()
                begin_s = time.perf_counter()
                comments = await reader.older(VIDEO, cursor, settings.page)
                taken.append((time.perf_counter() - begin_s) * 1000)
            finally:
                await reader.close()
            assert len(comments) == settings.page, "the page isn't where it should be"
    return Depth(median(times_ms[None]), median(times_ms[deep_cursor]))


def _comment(video_id: str, number: int, settings: HistorySettings) -> Comment:
    """number: 0 is the oldest"""
    comment_id = _id(number, settings)
    return Comment(comment_id, video_id, Author("guest:Ann", "Ann"), settings.message, number)


def _id(number: int, settings: HistorySettings) -> int:
    return first_id_at(1_760_000_000_000 + number * settings.depth_step_ms)
