"""Tracks the batches of one comment_service's Publish stream: which wait for nodes, and which can be answered now."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from dispatcher.core.errors import DispatcherError


class Batch:
    """A batch that waits for links: each link that took some of it says once that it is done with it."""

    __slots__ = ("_publisher", "_waiting_for", "seq", "smallest_id")

    def __init__(self, publisher: "Publisher", seq: int, smallest_id: int | None) -> None:
        self.seq = seq
        self.smallest_id = smallest_id  # None: it has no events
        self._publisher = publisher
        self._waiting_for = 1  # the caller's own, so that it isn't done before all links have been asked

    def wait_for_one_more(self) -> None:
        self._waiting_for += 1

    def one_is_done(self) -> None:
        self._waiting_for -= 1
        if self._waiting_for == 0:
            self._publisher.done(self.seq)


@dataclass(frozen=True, slots=True)
class PublisherStatistics:
    peer: str
    connected_ms: int  # when
    batches: int
    unanswered: int
    batch_ms: int | None  # when the last batch came
    answer_ms: int | None  # when the last response was written


class Publisher:
    """Batches in, responses out, at most `unanswered_max` between.

    `ended` is set once, with the error for the peer or None: then the stream is to be closed. Batches that are done
    after that get no response: the peer sends them again, to another replica.
    """

    def __init__(self, peer: str, unanswered_max: int, now_ms: Callable[[], int]) -> None:
        self.ended: asyncio.Future[DispatcherError | None] = asyncio.get_running_loop().create_future()
        self.hides_as: int | None = None
        """The service's number, if its last batch said that some of its events can't be read from history"""
        self._unanswered_max = unanswered_max
        self._unanswered = 0
        self._peer = peer
        self._now_ms = now_ms
        self._connected_ms = now_ms()
        self._batches = 0
        self._batch_ms: int | None = None
        self._answer_ms: int | None = None
        self._done: list[int] = []
        self._wake_writer = asyncio.Event()
        self._wake_reader = asyncio.Event()
        self._finishing = False
        self._finish_reason: DispatcherError | None = None

    @property
    def unanswered(self) -> int:
        return self._unanswered

    @property
    def finished(self) -> bool:
        """No more batches are to be read."""
        return self._finishing or self.ended.done()

    def statistics(self) -> PublisherStatistics:
        return PublisherStatistics(
            self._peer, self._connected_ms, self._batches, self._unanswered, self._batch_ms, self._answer_ms
        )

    def batch(self, seq: int, smallest_id: int | None) -> Batch:
        self._batches += 1
        self._batch_ms = self._now_ms()
        self._unanswered += 1
        return Batch(self, seq, smallest_id)

    def done(self, seq: int) -> None:
        """No link has to do anything more for this batch."""
        self._done.append(seq)
        self._wake_writer.set()

    async def wait_room(self) -> None:
        """Returns when another batch may be read. Not reading is what slows the peer down."""
        while self._unanswered >= self._unanswered_max and not self.finished:
            self._wake_reader.clear()
            await self._wake_reader.wait()

    async def done_batches(self) -> list[int]:
        """The seqs of the batches that are done, each once. Waits until there is one."""
        while not self._done:
            self._wake_writer.clear()
            await self._wake_writer.wait()
        done, self._done = self._done, []
        return done

    def written(self, count: int) -> None:
        """Responses to so many batches have been written to the peer."""
        self._unanswered -= count
        self._answer_ms = self._now_ms()
        self._wake_reader.set()
        self._end_if_done()

    def finish(self, reason: DispatcherError | None) -> None:
        """Takes no more batches; the stream ends when those that were taken are answered. The first reason counts."""
        if not self._finishing:
            self._finishing, self._finish_reason = True, reason
        self._wake_reader.set()
        self._end_if_done()

    def end(self, reason: DispatcherError | None) -> None:
        """The stream ends now."""
        if not self.ended.done():
            self.ended.set_result(reason)
        self._wake_reader.set()

    def _end_if_done(self) -> None:
        if self._finishing and not self._unanswered:
            self.end(self._finish_reason)
