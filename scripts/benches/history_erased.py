"""Erases all comments of an hour of one video, and measures reads across that hour before and after."""

import time
from dataclasses import dataclass
from itertools import pairwise

from history.core.ids import first_id_at
from history.core.model import ERASED, Change, Comment
from history.opening import open_reader, open_store
from history.store import History, Log
from scripts.benches.config import HistorySettings
from scripts.benches.schedule import VIDEO
from scripts.benches.stores import ANN

START_MS, HOUR_MS = 1_760_000_000_000, 3_600_000
SEED, CAUGHT_UP = 1_000, 500
"""Events that an RMS reads at once, for its first viewer and to catch up"""
WALK = 200
"""Comments that a comment_service reads at once"""


@dataclass(frozen=True, slots=True)
class Reads:
    """ms"""

    page: float
    """the newest page, with the calls of the store that its comments take"""
    seed: float
    catch_up: float
    walk: float
    """from the newest comment to the oldest"""
    calls: int
    """of the store, for that"""


async def erase_an_hour(url: str, settings: HistorySettings) -> tuple[Reads, Reads, float]:
    """Before, after, and how many comments were erased in a second. Raises StoreUnavailable."""
    store = await open_store(url)
    try:
        comments = [_comment(n, settings) for n in range(settings.erased)]
        for begin in range(0, len(comments), settings.batch_max):
            await store.append(comments[begin : begin + settings.batch_max])
        before = await _reads(url, settings)
        begin_s = time.perf_counter()
        await _erase(store, comments, settings)
        per_s = settings.erased / (time.perf_counter() - begin_s)
        return before, await _reads(url, settings), per_s
    finally:
        await store.close()


async def _erase(store: History, comments: list[Comment], settings: HistorySettings) -> None:
    """All but the oldest. Each event's id is beside its comment's: so every read meets as many of both."""
    changes = [Change(each.id + 1, VIDEO, ERASED, each.id) for each in comments[1:]]
    for begin in range(0, len(changes), settings.batch_max):
        await store.apply(changes[begin : begin + settings.batch_max])


async def _reads(url: str, settings: HistorySettings) -> Reads:
    """Each a second time: the first finds a cold JVM."""
    reader = await open_reader(url)
    try:
        for _ in range(2):
            reads = await _once(reader, settings)
        return reads
    finally:
        await reader.close()


async def _once(reader: Log, settings: HistorySettings) -> Reads:
    began_s = time.perf_counter()
    await reader.older(VIDEO, None, settings.page)
    page_s = time.perf_counter()
    await reader.events_before(VIDEO, None, SEED)
    seed_s = time.perf_counter()
    await reader.events(VIDEO, first_id_at(START_MS + HOUR_MS // 2), CAUGHT_UP)
    caught_up_s = time.perf_counter()
    calls, before, oldest = 0, None, None
    while calls == 0 or before is not None:
        comments, before = await reader.older(VIDEO, before, WALK)
        oldest, calls = (comments[-1] if comments else oldest), calls + 1
    assert oldest is not None
    assert oldest.id == first_id_at(START_MS), "the oldest comment was not found"
    times = (began_s, page_s, seed_s, caught_up_s, time.perf_counter())
    page, seed, catch_up, walk = ((end - begin) * 1000 for begin, end in pairwise(times))
    return Reads(page, seed, catch_up, walk, calls)


def _comment(number: int, settings: HistorySettings) -> Comment:
    ms = START_MS + number * HOUR_MS // settings.erased
    return Comment(first_id_at(ms), VIDEO, ANN, settings.message, ms)
