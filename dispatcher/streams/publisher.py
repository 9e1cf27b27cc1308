"""One comment_service's Publish stream: which of its batches are still unanswered, and which can be answered now."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from dispatcher.core.errors import DispatcherError


class Batch:
    """A batch that waits for links: each link that took some of it says once that it is done with it."""

    __slots__ = ("_publisher", "_waiting_for", "seq", "smallest_id")

    def __init__(self, publisher: "Publisher", seq: int, smallest_id: int) -> None:
        self.seq = seq
        self.smallest_id = smallest_id
        self._publisher = publisher
        self._waiting_for = 1  # the caller's own, so that no link can answer before all have been asked

    def wait_for_one_more(self) -> None:
        self._waiting_for += 1

    def one_is_done(self) -> None:
        self._waiting_for -= 1
        if self._waiting_for == 0:
            self._publisher.answered(self.seq)


@dataclass(frozen=True, slots=True)
class PublisherStatistics:
    peer: str
    connected_ms: int  # when
    batches: int
    unanswered: int
    batch_ms: int | None  # when the last batch came
    answer_ms: int | None  # when the last answer went


class Publisher:
    """Batches in, answers out, at most `unanswered_max` between.

    `ended` is set once, with the error for the peer or None: then the stream is to be closed. Batches whose links are
    done after that are answered to nobody: the peer sends them again, elsewhere.
    """

    def __init__(self, peer: str, unanswered_max: int, now_ms: Callable[[], int]) -> None:
        self.ended: asyncio.Future[DispatcherError | None] = asyncio.get_running_loop().create_future()
        self._unanswered_max = unanswered_max
        self._unanswered = 0
        self._peer = peer
        self._now_ms = now_ms
        self._connected_ms = now_ms()
        self._batches = 0
        self._batch_ms: int | None = None
        self._answer_ms: int | None = None
        self._answers: list[int] = []
        self._wake_writer = asyncio.Event()
        self._wake_reader = asyncio.Event()
        self._finish: list[DispatcherError | None] = []

    @property
    def unanswered(self) -> int:
        return self._unanswered

    @property
    def finished(self) -> bool:
        """No more batches are to be read."""
        return bool(self._finish) or self.ended.done()

    def statistics(self) -> PublisherStatistics:
        return PublisherStatistics(
            self._peer, self._connected_ms, self._batches, self._unanswered, self._batch_ms, self._answer_ms
        )

    def batch(self, seq: int, smallest_id: int) -> Batch:
        self._batches += 1
        self._batch_ms = self._now_ms()
        self._unanswered += 1
        return Batch(self, seq, smallest_id)

    def answered(self, seq: int) -> None:
        self._answers.append(seq)
        self._wake_writer.set()

    async def room(self) -> None:
        """Returns when another batch may be read. Not reading is what slows the peer down."""
        while self._unanswered >= self._unanswered_max and not self.finished:
            self._wake_reader.clear()
            await self._wake_reader.wait()

    async def answers(self) -> list[int]:
        """The seqs of the batches that are done, at least one"""
        while not self._answers:
            self._wake_writer.clear()
            await self._wake_writer.wait()
        answers, self._answers = self._answers, []
        return answers

    def written(self, count: int) -> None:
        """The peer has been sent that many answers."""
        self._unanswered -= count
        self._answer_ms = self._now_ms()
        self._wake_reader.set()
        self._end_if_done()

    def finish(self, reason: DispatcherError | None) -> None:
        """No more batches; the stream ends with the reason when those that were taken are answered."""
        self._finish.append(reason)
        self._wake_reader.set()
        self._end_if_done()

    def end(self, reason: DispatcherError | None) -> None:
        """The stream ends now."""
        if not self.ended.done():
            self.ended.set_result(reason)
        self._wake_reader.set()

    def _end_if_done(self) -> None:
        if self._finish and not self._unanswered:
            self.end(self._finish[0])
