"""Takes away what has expired, now and then, in a store that doesn't do so by itself."""

import asyncio
import time
from collections.abc import Callable

import structlog

from history.store import History, StoreUnavailable

log = structlog.stdlib.get_logger()


async def sweep_for_ever(records: Callable[[], History], every_s: float) -> None:
    """records: the open store; raises StoreUnavailable until there is one. What fails now is swept the next time."""
    while True:
        await asyncio.sleep(every_s)
        try:
            dropped = await records().sweep(time.time_ns() // 1_000_000)
        except StoreUnavailable:
            continue
        if dropped:
            log.info("expired rows swept", rows=dropped)
