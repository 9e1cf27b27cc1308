"""Fills a store with the past of many quiet videos, by the code of whichever checkout is on the path:
python -P small_past.py STORE VIDEOS COMMENTS
"""

import asyncio
import sys
import time

from history.config import StoreSettings
from history.core.ids import first_id_at
from history.core.model import Author, Comment
from history.opening import open_store

NEVER_MS = 1 << 50
AGE_MS, STEP_MS = 4_000_000, 10_000  # all of it is older than half an hour
AT_ONCE = 8


async def fill(url: str, videos: int, comments: int) -> None:
    begin_ms = time.time_ns() // 1_000_000 - AGE_MS
    store = await open_store(url, StoreSettings(late_ms=NEVER_MS))  # nobody is notified of it
    waiting = iter(range(videos))
    ann, text = Author("guest:Ann", "Ann"), "What a match, did you see that? I can't believe it"

    async def write() -> None:
        for video in waiting:
            said_ms = (begin_ms + number * STEP_MS for number in range(comments))
            await store.append([Comment(first_id_at(ms) + video, f"small-{video}", ann, text, ms) for ms in said_ms])

    await asyncio.gather(*(write() for _ in range(AT_ONCE)))
    await store.close()


if __name__ == "__main__":
    asyncio.run(fill(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
