"""Two processes that write one SQLite file: how long a quiet one waits for its commit beside one that never rests."""

import asyncio
import sys
import time

from history.core.ids import IdSource
from history.core.model import Comment
from history.opening import open_store
from history.store import History
from scripts.benches.config import HISTORY, HistorySettings
from scripts.benches.stores import ANN

BUSY_BATCH = 300
"""comments in each write of the busy one: some 10 ms"""

PAUSE_S = 0.05
"""between two of the quiet one"""


async def quiet_beside_busy(url: str, settings: HistorySettings) -> tuple[float, float]:
    """ms that nine of ten writes of the quiet process take at most, and that the longest takes. Raises
    StoreUnavailable."""
    busy = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", __name__, url), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    store = await open_store(url)
    try:
        assert busy.stdout is not None
        await busy.stdout.readline()  # it writes
        took_ms = await _write(store, "quiet", 1, 1, PAUSE_S, settings.seconds)
    finally:
        await store.close()
        busy.kill()
        await busy.communicate()
    took_ms.sort()
    return took_ms[len(took_ms) * 9 // 10], took_ms[-1]


async def _write(store: History, video_id: str, node: int, batch: int, pause_s: float, seconds: float) -> list[float]:
    """How many ms each append of a batch took"""
    ids, end_s = IdSource(node), time.monotonic() + seconds
    took_ms: list[float] = []
    while time.monotonic() < end_s:
        now_ms = time.time_ns() // 1_000_000
        comments = [Comment(ids.next(now_ms), video_id, ANN, HISTORY.message, now_ms) for _ in range(batch)]
        begin_s = time.monotonic()
        await store.append(comments)
        took_ms.append((time.monotonic() - begin_s) * 1000)
        await asyncio.sleep(pause_s)
    return took_ms


async def _busy(url: str) -> None:
    store = await open_store(url)
    print("writing", flush=True)
    await _write(store, "busy", 2, BUSY_BATCH, 0, float("inf"))


if __name__ == "__main__":
    asyncio.run(_busy(sys.argv[1]))
