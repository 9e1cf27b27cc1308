"""Asks the dispatchers for the time before the first id is given.

An id can't be taken back, and all later ones of a process are larger. So a process that starts with a clock that is
minutes ahead would give ids that are minutes ahead, until it is told so, and after that.
"""

import asyncio
import contextlib

from comment_service.clocks import monotonic_ms, wall_ms
from comment_service.publish.replicas import Replicas
from proto.clock_watch import ClockSettings, ClockWatch
from proto.tasks import shared

FIRST_MS = 1_000
"""How long a start waits for the dispatchers' clocks: an answer takes milliseconds, and a replica that refuses
connections isn't waited for. Who can't ask anybody begins with its own clock: people go on talking."""

POLL_MS = 20
"""between two looks which replicas are connected: less than anybody notices at a start"""


async def clock_ahead_ms(replicas: Replicas, settings: ClockSettings) -> int:
    """How far this process's clock is ahead of most dispatchers', beyond what clocks may differ by. 0: it isn't, or
    nobody answers in FIRST_MS."""
    watch = ClockWatch(settings, replicas.connected_stubs, wall_ms, monotonic_ms)
    following = shared(replicas.follow())
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_MS / 1000):
                await replicas.best()  # so that one is known
                while True:
                    heard = (await watch.look()).offsets_ms.keys()
                    if heard >= replicas.not_failing():
                        break
                    await asyncio.sleep(POLL_MS / 1000)  # nobody tells when a channel connects or fails
        return max(0, watch.statistics().verdict.own_ms or 0)
    finally:
        following.cancel()
