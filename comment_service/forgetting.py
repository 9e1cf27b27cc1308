"""Drops this node's copies of what other processes have erased: each process asks the store now and then."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import groupby
from operator import itemgetter

from history.store import Erasing, StoreUnavailable

Forget = Callable[[str, Sequence[int]], Awaitable[None]]


async def forget_for_ever(history: Callable[[], Erasing], forget: Forget, *, every_ms: int, overlap_ms: int) -> None:
    """history: the open store; raises StoreUnavailable until there is one. overlap_ms: how far it looks back each time,
    for clocks of nodes differ; what was seen is not forgotten again. What was missed while it was away is asked
    for when it is back."""
    asked_ms = _now_ms()
    known: set[tuple[str, int]] = set()
    while True:
        await asyncio.sleep(every_ms / 1000)
        now_ms = _now_ms()
        try:
            erased = set(await history().erased_since(asked_ms - overlap_ms, now_ms))
        except StoreUnavailable:
            continue
        asked_ms = now_ms
        for video_id, found in groupby(sorted(erased - known), itemgetter(0)):
            await forget(video_id, [comment_id for _, comment_id in found])
        known = erased


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
