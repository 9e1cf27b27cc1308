"""Takes away what has expired, now and then, in a store that doesn't do so by itself."""

import asyncio
from collections.abc import Callable

import structlog

from comment_service.clocks import wall_ms
from history.store import Records, StoreUnavailable

log = structlog.stdlib.get_logger()


async def sweep_for_ever(records: Callable[[], Records], every_s: float) -> None:
    """records: the open store; raises StoreUnavailable until there is one. What fails now is swept the next time."""
    while True:
        await asyncio.sleep(every_s)
        try:
            dropped = await records().sweep(wall_ms())
        except StoreUnavailable:
            continue
        if dropped:
            log.info("expired rows swept", rows=dropped)
