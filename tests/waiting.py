"""Waits for a condition, with a bound; tests use it in place of sleeping."""

import asyncio
from collections.abc import Awaitable, Callable


async def eventually(condition: Callable[[], bool | Awaitable[bool]], timeout_s: float = 60.0) -> None:
    """Returns as soon as the condition holds; raises TimeoutError if it doesn't in time."""
    async with asyncio.timeout(timeout_s):
        while True:
            held = condition()
            if held if isinstance(held, bool) else await held:
                return
            await asyncio.sleep(0.01)
