"""Many authors, few writes: what arrives during one write goes with the next one.

An fsync or a round trip costs the same for one comment as for hundreds. While a write is under way, whatever arrives is
collected; a lone comment is written at once, and the batches grow by themselves with the load. There is no timer here.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from history.model import Comment
from history.store import StoreError, StoreOverloaded, StoreUnavailable

Outcome = Exception | None
Waiting = tuple[Comment, "asyncio.Future[Outcome]"]


@dataclass(frozen=True, slots=True)
class GroupCommitStatistics:
    pending: int  # comments accepted by `append` and not yet answered
    writes_under_way: int
    comments: int  # written since the start
    writes: int  # done since the start, also those that failed


class GroupCommit:
    """Gathers single appends into batches for a store's `append`, in the order of arrival.

    With one write at a time (the default) batches also end in that order; with more, which a store with a long round
    trip wants, they may overtake each other. Belongs to one event loop.
    """

    def __init__(
        self,
        append: Callable[[Sequence[Comment]], Awaitable[None]],
        *,
        batch_max: int,
        pending_max: int,
        writes_max: int = 1,
    ) -> None:
        """batch_max: comments in one write. pending_max: comments waiting or being written. writes_max: at a time."""
        self._append = append
        self._batch_max = batch_max
        self._pending_max = pending_max
        self._writes_max = writes_max
        self._waiting: deque[Waiting] = deque()
        self._pending = 0
        self._writers: set[asyncio.Task[None]] = set()
        self._closed = False
        self._comments = 0
        self._writes = 0

    async def append(self, comment: Comment) -> None:
        """Returns when the comment is durable.

        Raises StoreOverloaded when `pending_max` is reached, and what its own batch's write raised. If the caller is
        cancelled the comment may be stored or not, as after an error; the others of the batch don't notice.
        """
        if self._closed:
            raise StoreUnavailable("the write path is closing")
        if self._pending >= self._pending_max:
            raise StoreOverloaded(f"{self._pending} comments are waiting to be written already")
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((comment, answer))
        self._pending += 1
        # A new writer begins at the loop's next turn: all that arrives in this turn goes with it.
        if len(self._writers) < self._writes_max:
            writer = asyncio.create_task(self._write_until_empty())
            self._writers.add(writer)
            writer.add_done_callback(self._writers.discard)  # also of one that is cancelled before it begins
        if (outcome := await answer) is not None:
            raise outcome

    async def close(self) -> None:
        """Takes nothing more, and returns when everything accepted is written or has failed."""
        self._closed = True
        while self._writers:
            await asyncio.wait(self._writers)

    def statistics(self) -> GroupCommitStatistics:
        return GroupCommitStatistics(self._pending, len(self._writers), self._comments, self._writes)

    async def _write_until_empty(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(self._batch_max, len(self._waiting)))]
            try:
                await self._append([comment for comment, _ in batch])
            except Exception as error:
                self._answer(batch, error)
            except BaseException:  # this task was cancelled: the process ends
                self._answer(batch, StoreUnavailable("the write was cancelled"))
                raise
            else:
                self._comments += len(batch)
                self._answer(batch, None)
        # At once, not by the callback: whoever comes before that has run would wait for a writer that takes no more.
        self._writers.discard(asyncio.current_task())

    def _answer(self, batch: Sequence[Waiting], outcome: Outcome) -> None:
        """A result, never `set_exception`: asyncio would log each one whose waiter has gone."""
        self._writes += 1
        self._pending -= len(batch)
        for _, answer in batch:
            if not answer.done():
                answer.set_result(None if outcome is None else _own_copy(outcome))


def _own_copy(outcome: Exception) -> Exception:
    """Each waiter raises its own: a shared one would collect the tracebacks of them all."""
    if not isinstance(outcome, StoreError):
        return outcome
    copy = type(outcome)(*outcome.args)
    copy.__cause__ = outcome.__cause__
    return copy
