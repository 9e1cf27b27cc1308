"""rms/sending/sweep.py and rms/feed/gzip_edition.py: an erasure writes a gzipped log anew while its viewers read it."""

import asyncio
import random
import socket
import zlib
from collections import Counter

from rms.feed.editions import PlainEdition
from rms.feed.entry import FeedLimits
from rms.feed.event import Event
from rms.feed.feed import Feed
from rms.feed.gzip_edition import GZIP_HEAD, GzipEdition
from rms.feed.sse import chunk
from tests.rms.parts import T0, comment, erasure, event, ids, without_chunks
from tests.rms.sending.conftest import Hall
from tests.waiting import eventually

GZIP_LIMITS = FeedLimits(1 << 20, 3_600_000, 10, 100, 60_000)


class GzipHall(Hall):
    """Its viewers get a feed, gzipped."""

    def __init__(self, **settings: float) -> None:
        self.feed = Feed(GZIP_LIMITS, [], 0, T0)
        super().__init__(GzipEdition(PlainEdition(self.feed), T0), **settings)

    def append(self, event: Event) -> None:
        assert self.feed.append(event, T0)
        self.audience.edition.rewrite(self.feed.rewritten)
        self.feed.rewritten.clear()
        self.sweeper.publish(self.audience)


async def gunzipped(end: socket.socket, until: bytes) -> bytes:
    """The text up to these bytes"""
    received, text = b"", b""
    async with asyncio.timeout(20):
        while until not in text:
            data = await asyncio.get_running_loop().sock_recv(end, 65_536)
            assert data, f"closed after {text[-200:]!r}"
            received += data
            text = zlib.decompressobj(31).decompress(without_chunks(received))
    return text


async def test_an_erasure_in_the_middle_of_a_sweep_lets_no_gzip_viewer_fall() -> None:
    hall = GzipHall(slice_ms=0.001)  # every look at the clock ends a slice, after 64 viewers
    ends = [hall.viewer(chunk(GZIP_HEAD)) for _ in range(150)]
    first, secret, third = (comment(n, message=f"number {n}") for n in range(3))
    hall.append(event(first))
    await eventually(lambda: hall.audience.swept_to == hall.log.end and hall.audience.cursor is None)
    hall.append(event(secret, first.id))
    hall.sweeper._slice()
    places = Counter(viewer.offset for viewer in hall.audience.viewers)
    assert sorted(places.values()) == [64, 86], "the sweep is in the middle"
    hall.append(erasure(comment(9).id, secret.id, secret.id))
    assert all(place < hall.log.base for place in places)
    hall.append(event(third, first.id))
    texts = [await gunzipped(end, b"number 2") for end in ends]
    assert Counter(b"number 1" in text for text in texts) == {True: 64, False: 86}, "nobody gets it afterwards"
    for text in texts:
        assert ids(text) == [each.id for each in (first, secret, third) if each is not secret or b"number 1" in text]
        assert text.count(b"event: deleted\n") == 1
    assert not hall.behind
    assert len(hall.sweeper) == 150
    hall.close()


async def test_a_full_gzip_viewer_goes_on_after_an_erasure() -> None:
    hall = GzipHall(chunk_bytes=1_000)
    slow = hall.viewer(chunk(GZIP_HEAD))
    sent: list[int] = []

    async def say() -> None:
        words = comment(len(sent), message=random.Random(len(sent)).randbytes(1_500).hex())
        hall.append(event(words, sent[-1] if sent else 0))
        sent.append(words.id)
        await asyncio.sleep(0)

    while not hall.sweeper.statistics().stalled:
        await say()
    for _ in range(8):  # these wait in the log
        end = hall.log.end
        await say()
    (viewer,) = hall.audience.viewers
    assert viewer.offset <= end < hall.log.end, "it has nothing of the last one"
    hall.append(erasure(comment(63).id, sent[-1], sent[-1]))
    assert viewer.offset < hall.log.base
    text = await gunzipped(slow, b"event: deleted\n")
    assert ids(text + b"\n\n") == sent[:-1], "each once, without the one that was erased"
    assert not hall.behind
    hall.close()
