"""dispatcher/streams/publisher.py: a batch is answered when all are done with it, and the stream ends
once, for one reason."""

import asyncio

from dispatcher.core.errors import Stopping
from dispatcher.streams.publisher import Publisher


def publisher_with(unanswered_max: int) -> Publisher:
    return Publisher("peer", unanswered_max, now_ms=lambda: 0)


async def test_a_batch_is_answered_when_the_last_one_is_done() -> None:
    publisher = publisher_with(unanswered_max=8)
    batch = publisher.batch(seq=7, smallest_id=1)
    batch.wait_for_one_more()
    batch.one_is_done()
    done = asyncio.ensure_future(publisher.done_batches())
    await asyncio.sleep(0)
    assert not done.done()
    batch.one_is_done()
    assert await done == [7]


async def test_there_is_no_room_until_an_answer_is_written() -> None:
    publisher = publisher_with(unanswered_max=1)
    await publisher.wait_room()
    publisher.batch(seq=1, smallest_id=1).one_is_done()
    room = asyncio.ensure_future(publisher.wait_room())
    await asyncio.sleep(0)
    assert not room.done()
    publisher.written(len(await publisher.done_batches()))
    await room


async def test_a_finished_stream_ends_when_all_is_answered() -> None:
    publisher = publisher_with(unanswered_max=8)
    batch = publisher.batch(seq=1, smallest_id=1)
    stopping = Stopping()
    publisher.finish(stopping)
    publisher.finish(None)
    assert publisher.finished
    assert not publisher.ended.done()
    batch.one_is_done()
    publisher.written(len(await publisher.done_batches()))
    assert publisher.ended.result() is stopping


async def test_a_stream_without_batches_ends_at_once_and_only_once() -> None:
    publisher = publisher_with(unanswered_max=8)
    publisher.finish(None)
    publisher.end(Stopping())
    assert publisher.ended.result() is None


async def test_the_end_frees_a_reader_that_waits_for_room() -> None:
    publisher = publisher_with(unanswered_max=1)
    publisher.batch(seq=1, smallest_id=1)
    room = asyncio.ensure_future(publisher.wait_room())
    await asyncio.sleep(0)
    publisher.end(None)
    await room
