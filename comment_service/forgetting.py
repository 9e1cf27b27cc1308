"""Drops this node's copies of what other processes have erased, and of stretches into which comments came late from
another process's spool: each process asks the store now and then."""

import asyncio
import time
from collections.abc import Callable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Protocol

from history.store import History, StoreUnavailable, Stretch


class Copies(Protocol):
    """Where this node has comments beside the store"""

    async def forget(self, video_id: str, ids: Sequence[int]) -> None:
        """These are erased."""
        ...

    async def read_again(self, video_id: str, low_id: int, high_id: int) -> None:
        """In the store comments have come between these ids."""
        ...


async def forget_for_ever(history: Callable[[], History], copies: Copies, *, every_ms: int, overlap_ms: int) -> None:
    """history: the open store; raises StoreUnavailable until there is one. overlap_ms: how far it looks back each time,
    for clocks of nodes differ; what was seen is not forgotten again. What was missed while it was away is asked
    for when it is back."""
    asked_ms = _now_ms()
    known_erased: set[tuple[str, int]] = set()
    known_late: set[Stretch] = set()
    while True:
        await asyncio.sleep(every_ms / 1000)
        now_ms = _now_ms()
        try:
            erased = set(await history().erased_since(asked_ms - overlap_ms, now_ms))
            late = set(await history().late_since(asked_ms - overlap_ms, now_ms))
        except StoreUnavailable:
            continue
        asked_ms = now_ms
        for video_id, found in groupby(sorted(erased - known_erased), itemgetter(0)):
            await copies.forget(video_id, [comment_id for _, comment_id in found])
        for each in late - known_late:
            await copies.read_again(each.video_id, each.low_id, each.high_id)
        known_erased, known_late = erased, late


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
