"""Many authors, few writes: what arrives during one write goes with the next one.

An fsync or a round trip costs the same for one comment as for hundreds. While a write is under way, whatever arrives is
collected; a lone comment is written at once, and the batches grow by themselves with the load. Large batches are what
makes a busy store fast, so a second write begins beside the first one only when that would make them no larger (a full
batch waits), or when the first one takes so long that nobody should wait for its end.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from history.store import StoreError, StoreOverloaded, StoreUnavailable

Outcome = Exception | None
Item = TypeVar("Item")
"""What is written: a comment, or what stands beside one"""


@dataclass(frozen=True, slots=True)
class GroupCommitStatistics:
    pending: int  # items accepted by `append` and not yet answered
    writes_under_way: int
    items: int  # written since the start
    writes: int  # done since the start, also those that failed


class GroupCommit(Generic[Item]):
    """Gathers single appends into batches for a store's `append`, in the order of arrival.

    With one write at a time (the default) batches also end in that order; with more they may overtake each other.
    Belongs to one event loop.
    """

    def __init__(
        self,
        append: Callable[[Sequence[Item]], Awaitable[None]],
        *,
        batch_max: int,
        pending_max: int,
        writes_max: int = 1,
        patience_ms: int = 0,
    ) -> None:
        """batch_max: items in one write. pending_max: items waiting or being written. writes_max: at a time.
        patience_ms: how long a write may last until another one begins beside it."""
        self._append = append
        self._batch_max = batch_max
        self._pending_max = pending_max
        self._writes_max = writes_max
        self._patience_s = patience_ms / 1000
        self._waiting: deque[tuple[Item, Callable[[Outcome], None]]] = deque()
        self._pending = 0
        self._writers: set[asyncio.Task[None]] = set()
        self._beginning = 0  # writers that are made and have not taken anything yet
        self._slow: set[asyncio.Task[None]] = set()  # those whose write is under way for longer than patience_ms
        self._closed = False
        self._items = 0
        self._writes = 0

    async def append(self, comment: Item) -> None:
        """Returns when the comment is durable.

        Raises StoreOverloaded when `pending_max` is reached, and what its own batch's write raised. If the caller is
        cancelled the comment may be stored or not, as after an error; the others of the batch don't notice.
        """
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        # A result, never `set_exception`: asyncio would log each one whose waiter has gone.
        self.submit(comment, lambda outcome: None if answer.done() else answer.set_result(outcome))
        if (outcome := await answer) is not None:
            raise outcome

    def submit(self, comment: Item, answered: Callable[[Outcome], None]) -> None:
        """The same without waiting: `answered` gets None once the comment is durable, or the error. It must not raise.

        Raises StoreOverloaded and StoreUnavailable for what isn't taken at all.
        """
        if self._closed:
            raise StoreUnavailable("the write path is closing")
        if self._pending >= self._pending_max:
            raise StoreOverloaded(f"{self._pending} others are waiting to be written already")
        self._waiting.append((comment, answered))
        self._pending += 1
        self._begin_if_due()

    async def close(self) -> None:
        """Takes nothing more, and returns when everything accepted is written or has failed."""
        self._closed = True
        while self._writers:
            await asyncio.wait(self._writers)

    def statistics(self) -> GroupCommitStatistics:
        return GroupCommitStatistics(self._pending, len(self._writers), self._items, self._writes)

    def _begin_if_due(self) -> None:
        """A new writer, if what waits shouldn't wait for those under way. It begins at the loop's next turn: all that
        arrives in this turn goes with it."""
        count = len(self._writers)
        if not self._waiting or count >= self._writes_max:
            return
        if count == len(self._slow) or len(self._waiting) >= self._batch_max * (1 + self._beginning):
            writer = asyncio.create_task(self._write_until_empty())
            self._beginning += 1
            self._writers.add(writer)
            writer.add_done_callback(self._writers.discard)  # also of one that is cancelled before it begins

    async def _write_until_empty(self) -> None:
        loop, writer = asyncio.get_running_loop(), asyncio.current_task()
        assert writer is not None
        self._beginning -= 1
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(self._batch_max, len(self._waiting)))]
            patience = loop.call_later(self._patience_s, self._lose_patience, writer)
            try:
                await self._append([comment for comment, _ in batch])
            except Exception as error:
                outcome: Outcome = error
            except BaseException:  # this task was cancelled: the process ends
                self._answer(batch, StoreUnavailable("the write was cancelled"))
                raise
            else:
                outcome = None
                self._items += len(batch)
            finally:
                patience.cancel()
                self._slow.discard(writer)
            if self._waiting:  # the next write goes out first: the store works on it while these authors are answered
                loop.call_soon(self._answer, batch, outcome)
            else:
                self._answer(batch, outcome)
        # At once, not by the callback: whoever comes before that has run would wait for a writer that takes no more.
        self._writers.discard(writer)

    def _lose_patience(self, writer: asyncio.Task[None]) -> None:
        self._slow.add(writer)
        self._begin_if_due()

    def _answer(self, batch: Sequence[tuple[Item, Callable[[Outcome], None]]], outcome: Outcome) -> None:
        self._writes += 1
        self._pending -= len(batch)
        for _, answered in batch:
            try:
                answered(None if outcome is None else _own_copy(outcome))
            except Exception as error:  # the others have to hear of it all the same
                asyncio.get_running_loop().call_exception_handler({"message": "answering failed", "exception": error})


def _own_copy(outcome: Exception) -> Exception:
    """Each waiter raises its own: a shared one would collect the tracebacks of them all."""
    if not isinstance(outcome, StoreError):
        return outcome
    copy = type(outcome)(*outcome.args)
    copy.__cause__ = outcome.__cause__
    return copy
