"""Publishes comments: at a steady rate, however long the server takes with what went before, or as fast as it goes."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable

import aiohttp
import grpc

from history.core.ids import IdSource
from proto.comment_pb2 import Author, Comment
from proto.dispatch_pb2 import PublishRequest, PublishResponse
from proto.dispatch_pb2_grpc import DispatcherStub
from scripts.benches.config import FANOUT
from scripts.benches.running import ungrouped
from scripts.benches.schedule import VIDEO, Line, Schedule

NODE = 1023
"""In the ids of our comments, where the number of a comment_service stands; ours is the last one."""


async def steadily(schedule: Schedule) -> AsyncIterator[list[Comment]]:
    """What is due goes together, as comment_service does it."""
    ids, sent = IdSource(NODE), 0
    while sent < schedule.count:
        await _until(schedule.due_ns(sent))
        due = schedule.due_until(time.monotonic_ns(), sent)
        yield _comments(map(schedule.line, due), ids)
        sent = due.stop


async def at_full_speed(seconds: float, batch_comments: int, line: Line) -> AsyncIterator[list[Comment]]:
    """Batches without a pause, each due at once; cheap to make, as the measured server needs the CPU"""
    ids, end_ns = IdSource(NODE), time.monotonic_ns() + int(seconds * 1e9)
    while (now_ns := time.monotonic_ns()) < end_ns:
        said = Schedule(now_ns, rate=1, count=1, lines=(line,)).line(0)
        yield _comments([said] * batch_comments, ids)


def _comments(lines: Iterable[Line], ids: IdSource) -> list[Comment]:
    now_ms = time.time_ns() // 1_000_000
    return [
        Comment(
            id=ids.next(now_ms), video_id=VIDEO, author=Author(id=user, name=user), message=text, created_at_ms=now_ms
        )
        for user, text in lines
    ]


async def publish_grpc(
    address: str, batches: AsyncIterator[list[Comment]], unanswered_max: int = FANOUT.unanswered_batches
) -> int:
    """Over one Publish stream, as comment_service does; returns how many there were, when all are acknowledged.

    Raises grpc.RpcError.
    """
    room = asyncio.Semaphore(unanswered_max)
    seq = published = 0

    async def read(call: "grpc.aio.StreamStreamCall[PublishRequest, PublishResponse]") -> None:
        async for answer in call:
            for _ in range(1 + len(answer.seqs)):
                room.release()

    with ungrouped():
        async with grpc.aio.insecure_channel(address) as channel, asyncio.TaskGroup() as group:
            call = DispatcherStub(channel).Publish()
            group.create_task(read(call))
            async for comments in batches:
                await room.acquire()
                await call.write(PublishRequest(seq=seq, comments=comments))
                seq, published = seq + 1, published + len(comments)
            await call.done_writing()
    return published


async def publish_http(url: str, schedule: Schedule, connections: int = FANOUT.http_publishers) -> None:
    """One POST for each comment over so many keep-alive connections; returns when all are answered.

    Raises aiohttp.ClientError.
    """
    numbers = iter(range(schedule.count))
    connector = aiohttp.TCPConnector(limit=connections)
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, raise_for_status=True) as session:

        async def post_what_is_due() -> None:
            for number in numbers:
                await _until(schedule.due_ns(number))
                async with session.post(url, data=schedule.data(number).encode()) as answer:
                    await answer.read()

        await asyncio.gather(*(post_what_is_due() for _ in range(connections)))


async def _until(due_ns: int) -> None:
    wait_s = (due_ns - time.monotonic_ns()) / 1e9
    if wait_s > 0:
        await asyncio.sleep(wait_s)
