"""dispatcher/streams/writers.py: a few at once, in order; who does not read holds up nobody; a failure ends alone."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

import pytest

from dispatcher.streams.writers import Writers
from proto.tasks import Supervisor
from tests.waiting import eventually

FOR_EVER_MS = 600_000


class Stream:
    """Messages of a stream, and a peer that reads when the test says so"""

    def __init__(self, written: list[bytes]) -> None:
        self.messages: deque[bytes] = deque()
        self.reads = asyncio.Event()
        self.reads.set()
        self.under_way = 0
        self._written = written
        self._ready: Callable[[], None] = lambda: None
        self._is_ready = False

    def use(self, ready: Callable[[], None]) -> None:
        self._ready = ready
        if self.rest():
            ready()

    def rest(self) -> bool:
        self._is_ready = bool(self.messages)
        return self._is_ready

    def put(self, message: bytes) -> None:
        self.messages.append(message)
        if not self._is_ready:
            self._is_ready = True
            self._ready()

    async def write(self, message: bytes) -> None:
        if message == b"broken":
            raise ConnectionError(message.decode())
        self.under_way += 1
        await self.reads.wait()
        self.under_way -= 1
        self._written.append(message)


def next_message(stream: Stream) -> bytes | None:
    return stream.messages.popleft() if stream.messages else None


@pytest.fixture
async def tasks() -> AsyncIterator[Supervisor]:
    supervisor = Supervisor()
    yield supervisor
    await supervisor.close()


async def test_a_few_at_once_and_then_in_order(tasks: Supervisor) -> None:
    written: list[bytes] = []
    writers = Writers(2, FOR_EVER_MS, next_message, tasks)
    streams = [Stream(written) for _ in range(4)]
    for number, stream in enumerate(streams):
        stream.reads.clear()
        stream.put(b"%d" % number)
        stream.put(b"%d again" % number)
        writers.add(stream, stream.write)
    await eventually(lambda: [stream.under_way for stream in streams] == [1, 1, 0, 0])
    for stream in streams:
        stream.reads.set()
    await eventually(lambda: len(written) == 8)
    assert max(written.index(b"2"), written.index(b"3")) < written.index(b"0 again")  # whoever has had his turn waits


async def test_what_comes_later_is_written_and_what_was_there_before(tasks: Supervisor) -> None:
    written: list[bytes] = []
    writers = Writers(1, FOR_EVER_MS, next_message, tasks)
    stream = Stream(written)
    stream.put(b"welcome")
    writers.add(stream, stream.write)
    await eventually(lambda: written == [b"welcome"])
    for number in range(3):
        stream.put(b"%d" % number)
    await eventually(lambda: written == [b"welcome", b"0", b"1", b"2"])


async def test_a_peer_that_does_not_read_holds_up_nobody_and_gets_its_messages_when_it_does(tasks: Supervisor) -> None:
    written: list[bytes] = []
    writers = Writers(1, 1, next_message, tasks)
    stalled, healthy = Stream(written), Stream(written)
    stalled.reads.clear()
    for stream in (stalled, healthy):
        writers.add(stream, stream.write)
    stalled.put(b"stalled")
    await eventually(lambda: stalled.under_way == 1)
    healthy.put(b"healthy")
    await eventually(lambda: written == [b"healthy"])
    stalled.put(b"stalled, too")
    stalled.reads.set()
    await eventually(lambda: written == [b"healthy", b"stalled", b"stalled, too"])
    await eventually(lambda: len(tasks) == 1)  # the worker that was stuck has left


async def test_only_a_write_that_has_taken_too_long_gives_its_place_away(tasks: Supervisor) -> None:
    written: list[bytes] = []
    writers = Writers(2, FOR_EVER_MS, next_message, tasks)
    old, young, waiting = (Stream(written) for _ in range(3))
    for stream in (old, young, waiting):
        stream.reads.clear()
        stream.put(b"message")
    writings = [writers.add(stream, stream.write) for stream in (old, young, waiting)]
    await eventually(lambda: (old.under_way, young.under_way, waiting.under_way) == (1, 1, 0))
    writers._since_s[writings[0]] -= FOR_EVER_MS / 1_000  # it began that long ago
    writers._forfeit()
    await eventually(lambda: waiting.under_way == 1)
    assert len(tasks) == 3, "one more for the old write, and none for the young one"
    for stream in (old, young, waiting):
        stream.reads.set()
    await eventually(lambda: len(tasks) == 2)
    assert len(written) == 3


async def test_a_write_that_fails_ends_its_stream_and_no_other(tasks: Supervisor) -> None:
    written: list[bytes] = []
    writers = Writers(1, FOR_EVER_MS, next_message, tasks)
    bad, good = Stream(written), Stream(written)
    writing = writers.add(bad, bad.write)
    writers.add(good, good.write)
    for message in (b"broken", b"never written"):
        bad.put(message)
    good.put(b"good")
    with pytest.raises(ConnectionError, match="broken"):
        await writing.wait_broken()
    await eventually(lambda: written == [b"good"])


async def test_a_stream_whose_end_nobody_waits_for_is_written_to_no_more(tasks: Supervisor) -> None:
    written: list[bytes] = []
    writers = Writers(1, FOR_EVER_MS, next_message, tasks)
    ended, other = Stream(written), Stream(written)
    waiting = asyncio.ensure_future(writers.add(ended, ended.write).wait_broken())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    ended.put(b"too late")
    writers.add(other, other.write)
    other.put(b"other")
    await eventually(lambda: b"other" in written)
    assert written == [b"other"]
