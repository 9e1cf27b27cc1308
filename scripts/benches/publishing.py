"""Publishers at a steady rate: what is due goes out, however long the server takes with what went before."""

import asyncio
import time

import aiohttp
import grpc

from history.core.ids import IdSource
from proto.comment_pb2 import Author, Comment
from proto.dispatch_pb2 import PublishRequest, PublishResponse
from proto.dispatch_pb2_grpc import DispatcherStub
from scripts.benches.schedule import VIDEO, Schedule

NODE = 1023
"""In the ids of our comments, where the number of a comment_service stands; ours is the last one."""


async def publish_grpc(address: str, schedule: Schedule) -> int:
    """Over one Publish stream, as comment_service does; returns when all is acknowledged, in monotonic ns.

    Raises grpc.RpcError.
    """
    ids = IdSource(NODE)
    async with grpc.aio.insecure_channel(address) as channel:
        call = DispatcherStub(channel).Publish()
        acknowledging = asyncio.create_task(_read_acknowledgements(call))
        batches = sent = 0
        while sent < schedule.count:
            await _until(schedule.due_ns(sent))
            due = schedule.due_until(time.monotonic_ns(), sent)
            comments = [_comment(schedule, number, ids) for number in due]
            await call.write(PublishRequest(seq=batches, comments=comments))
            batches, sent = batches + 1, due.stop
        await call.done_writing()
        await acknowledging
    return time.monotonic_ns()


async def _read_acknowledgements(call: "grpc.aio.StreamStreamCall[PublishRequest, PublishResponse]") -> None:
    async for _ in call:
        pass


def _comment(schedule: Schedule, number: int, ids: IdSource) -> Comment:
    now_ms = time.time_ns() // 1_000_000
    user, text = schedule.line(number)
    return Comment(
        id=ids.next(now_ms),
        video_id=VIDEO,
        author=Author(id=user, name=user),
        message=text,
        created_at_ms=now_ms,
    )


async def publish_http(url: str, schedule: Schedule, connections: int) -> int:
    """One POST for each comment over so many keep-alive connections; returns when all are answered, in monotonic ns.

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
    return time.monotonic_ns()


async def _until(due_ns: int) -> None:
    wait_s = (due_ns - time.monotonic_ns()) / 1e9
    if wait_s > 0:
        await asyncio.sleep(wait_s)
