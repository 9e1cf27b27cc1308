"""Publishes comments: at a steady rate, however long the server takes with what went before, or as fast as it goes."""

import asyncio
import time
from collections.abc import AsyncIterator

import aiohttp
import grpc

from history.core.ids import IdSource
from history.core.model import Author, Comment
from history.core.stream_data import comment_data
from proto import event_pb2
from proto.channel import aio_channel
from proto.dispatch_pb2 import PublishRequest, PublishResponse, VideoBatch
from proto.dispatch_pb2_grpc import DispatcherStub
from proto.event_pb2 import Event, VideoEvents
from scripts.benches.config import FANOUT, FanoutSettings
from scripts.benches.running import ungrouped
from scripts.benches.schedule import VIDEO, Schedule

NODE = 1023
"""In the ids of our comments, where the number of a comment_service stands; ours is the last one."""


async def steadily(schedule: Schedule) -> AsyncIterator[VideoBatch]:
    """What is due goes together, as comment_service does it."""
    ids, sent = IdSource(NODE), 0
    while sent < schedule.count:
        await _until(schedule.due_ns(sent))
        due = schedule.due_until(time.monotonic_ns(), sent)
        now_ms = time.time_ns() // 1_000_000
        said = [
            Comment(ids.next(now_ms), schedule.video, Author(user, user), text, now_ms)
            for user, text in map(schedule.line, due)
        ]
        events = [Event(id=each.id, data=comment_data(each), comment=event_pb2.Comment()) for each in said]
        encoded = VideoEvents(video_id=schedule.video, events=events).SerializeToString()
        yield _batch([each.id for each in said], encoded, schedule.video)
        sent = due.stop


async def at_full_speed(seconds: float, events: int, data: bytes) -> AsyncIterator[VideoBatch]:
    """Batches without a pause; cheap to make, as the measured server needs the CPU. data: of each event"""
    ids, end_ns = IdSource(NODE), time.monotonic_ns() + int(seconds * 1e9)
    video = VideoEvents(video_id=VIDEO).SerializeToString()
    sample = VideoEvents(events=[Event(id=1, data=data, comment=event_pb2.Comment())]).SerializeToString()
    head, tail = sample.split((1).to_bytes(8, "little"), 1)  # an event's id stands there in these 8 bytes
    while time.monotonic_ns() < end_ns:
        now_ms = time.time_ns() // 1_000_000
        batch = [ids.next(now_ms) for _ in range(events)]
        yield _batch(batch, video + b"".join([head + each.to_bytes(8, "little") + tail for each in batch]))


def _batch(ids: list[int], encoded: bytes, video: str = VIDEO) -> VideoBatch:
    """ids: in their order"""
    return VideoBatch(video_id=video, low_id=ids[0], high_id=ids[-1], events=len(ids), encoded=encoded)


async def publish_grpc(
    address: str, batches: AsyncIterator[VideoBatch], settings: FanoutSettings = FANOUT, *, pace: bool = True
) -> int:
    """Over one Publish stream, as comment_service does; returns how many events there were, when all are acknowledged.

    pace: pause while many batches are unanswered, as it does unless they are full. Raises grpc.RpcError.
    """
    room = asyncio.Semaphore(settings.unanswered_batches)
    sent = answered = events = 0

    async def read(call: "grpc.aio.StreamStreamCall[PublishRequest, PublishResponse]") -> None:
        nonlocal answered
        async for answer in call:
            for _ in range(1 + len(answer.seqs)):
                answered += 1
                room.release()

    with ungrouped():
        async with aio_channel(address, None) as channel, asyncio.TaskGroup() as group:
            call = DispatcherStub(channel).Publish()
            group.create_task(read(call))
            async for batch in batches:
                await room.acquire()
                await call.write(PublishRequest(seq=sent, videos=[batch]))
                sent, events = sent + 1, events + batch.events
                if pace and (over := sent - answered - settings.pace_after) > 0:
                    await asyncio.sleep(over**2 / 1000)
            await call.done_writing()
    return events


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
