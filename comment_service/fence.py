"""Keeps a process from giving ids while it isn't sure of its node number (comment_service/node/claim.py)."""

from typing import Protocol

from comment_service.clocks import wall_ms


class Fence(Protocol):
    """Who gives an id reads the clock first, and asks then: however long the process stands still in between, an id of
    that time is its own."""

    def is_sure(self) -> bool:
        """Whether the number is this process's now"""
        ...

    async def wait_sure(self) -> None:
        """Returns when `is_sure`, or may have been. Raises StoreUnavailable if another process has the number."""
        ...


async def sure_ms(fence: Fence) -> int:
    """Milliseconds since 1970, for the next id. Raises StoreUnavailable."""
    while True:
        now_ms = wall_ms()
        if fence.is_sure():
            return now_ms
        await fence.wait_sure()
