"""Other processes for the tests, run as `python -m tests.history.programs write|read URL VIDEO`.

write: appends one comment after another and prints each id once it is acknowledged; ends when the store is away.
read: for each line on stdin prints the ids of the video's newest comments.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from history.clocks import wall_ms
from history.core.ids import IdSource, format_id
from history.opening import open_reader, open_store
from history.store import StoreUnavailable
from tests.history.comments import a_comment

READ_LIMIT = 5


async def write(url: str, video_id: str, count: int) -> None:
    store = await open_store(url)
    ids = IdSource(7)
    try:
        for _ in range(count):
            comment_id = ids.next(wall_ms())
            await store.append([a_comment(comment_id, video_id)])
            print(format_id(comment_id), flush=True)  # noqa: T201  (this is the program's output)
    except StoreUnavailable as error:
        print(error, file=sys.stderr)  # noqa: T201
    await store.close()


async def read(url: str, video_id: str) -> None:
    reader = await open_reader(url)
    while await asyncio.to_thread(sys.stdin.readline):
        comments = (await reader.older(video_id, None, READ_LIMIT)).comments
        print(*(format_id(comment.id) for comment in comments), flush=True)  # noqa: T201
    await reader.close()


@asynccontextmanager
async def program(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs one of them; killed at the end if it still lives."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.history.programs", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    if sys.argv[1] == "write":
        asyncio.run(write(sys.argv[2], sys.argv[3], int(sys.argv[4])))
    else:
        asyncio.run(read(sys.argv[2], sys.argv[3]))
