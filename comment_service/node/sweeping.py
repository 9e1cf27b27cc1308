"""Deletes expired rows now and then, in a store that doesn't do so by itself."""

import asyncio
from collections.abc import Callable

import structlog

from comment_service.clocks import wall_ms
from history.store import History, StoreUnavailable

log = structlog.stdlib.get_logger()


async def sweep_for_ever(history: Callable[[], History], every_s: float) -> None:
    """history: the open store; raises StoreUnavailable until there is one. While the store is away nothing is swept."""
    while True:
        await asyncio.sleep(every_s)
        try:
            dropped = await history().sweep(wall_ms())
        except StoreUnavailable:
            continue
        if dropped:
            log.info("expired rows swept", rows=dropped)
