"""Group commit: whatever arrives during one write goes together with the next one.

An fsync or a round trip costs the same for one comment as for hundreds. A lone comment is written at once; while a
write is under way, and until some milliseconds after its beginning, what arrives is collected, so batches grow with the
load. Large batches make a busy store fast. So a
second write begins beside the first one only when waiting would not make the batch larger (it is full), or when the
first one takes too long to be waited for.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

from history.store import StoreError, StoreOverloaded, StoreUnavailable
from proto.tasks import shared

_log = structlog.stdlib.get_logger()

Outcome = Exception | None
Item = TypeVar("Item")
"""What is written: a comment, or a claim of a key"""


@dataclass(frozen=True, slots=True)
class GroupCommitStatistics:
    pending: int  # items accepted by `append` whose outcome isn't known yet
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
        gather_ms: int = 0,
        patience_ms: int = 0,
    ) -> None:
        """batch_max: items in one write. pending_max: items waiting or being written. writes_max: at a time. gather_ms:
        from the beginning of a write to that of the next one, unless that is full. patience_ms: how long a write may
        last until another one begins beside it."""
        self._append = append
        self._batch_max = batch_max
        self._pending_max = pending_max
        self._writes_max = writes_max
        self._gather_s = gather_ms / 1000
        self._patience_s = patience_ms / 1000
        self._next_s = 0.0  # when the next write begins at the earliest, unless it is full; by the loop's clock
        self._waiting: deque[tuple[Item, Callable[[Outcome], None]]] = deque()
        self._pending = 0
        self._writers: set[asyncio.Task[None]] = set()
        self._beginning: set[asyncio.Task[None]] = set()  # those of them that have not taken anything yet
        self._slow: set[asyncio.Task[None]] = set()  # those whose write is under way for longer than patience_ms
        self._closed = False
        self._items = 0
        self._writes = 0

    async def append(self, item: Item) -> None:
        """Returns when the item is durable.

        Raises StoreOverloaded when `pending_max` is reached, and what its own batch's write raised. If the caller is
        cancelled the item may be stored or not, as after an error; the others of the batch don't notice.
        """
        waiter: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        # A result, never `set_exception`: asyncio would log each one whose waiter has gone.
        self.submit(item, lambda outcome: None if waiter.done() else waiter.set_result(outcome))
        if (outcome := await waiter) is not None:
            raise outcome

    def submit(self, item: Item, on_outcome: Callable[[Outcome], None]) -> None:
        """The same without waiting: `on_outcome` gets None once the item is durable, or the error. It must not raise.

        Raises StoreOverloaded and StoreUnavailable for what isn't accepted.
        """
        if self._closed:
            raise StoreUnavailable("the write path is closing")
        if self._pending >= self._pending_max:
            raise StoreOverloaded(f"{self._pending} others are waiting to be written already")
        self._waiting.append((item, on_outcome))
        self._pending += 1
        self._begin_if_due()

    async def close(self) -> None:
        """Accepts nothing more, and returns when everything accepted is written or has failed."""
        self._closed = True
        while self._writers:
            await asyncio.wait(self._writers)

    def statistics(self) -> GroupCommitStatistics:
        return GroupCommitStatistics(self._pending, len(self._writers), self._items, self._writes)

    def _begin_if_due(self) -> None:
        """Begins another writer unless what waits should wait for those under way. It runs at the loop's next turn: all
        that arrives in this turn goes with it."""
        count = len(self._writers)
        if not self._waiting or count >= self._writes_max:
            return
        if count == len(self._slow) or len(self._waiting) >= self._batch_max * (1 + len(self._beginning)):
            writer = shared(self._write_until_empty())  # those whose items it writes wait for it
            self._beginning.add(writer)
            self._writers.add(writer)
            writer.add_done_callback(self._end_writer)

    async def _write_until_empty(self) -> None:
        loop, writer = asyncio.get_running_loop(), asyncio.current_task()
        assert writer is not None
        self._beginning.discard(writer)
        while self._waiting:
            pause_s = self._next_s - loop.time()
            if pause_s > 0 and len(self._waiting) < self._batch_max:
                await asyncio.sleep(pause_s)
                if not self._waiting:  # another writer has taken it all
                    break
            self._next_s = loop.time() + self._gather_s
            batch = [self._waiting.popleft() for _ in range(min(self._batch_max, len(self._waiting)))]
            patience = loop.call_later(self._patience_s, self._lose_patience, writer)
            try:
                await self._append([item for item, _ in batch])
            except Exception as error:
                outcome: Outcome = error
                if not isinstance(error, StoreError):
                    _log.exception("write failed unexpectedly", items=len(batch), reason=repr(error))
            except BaseException as error:
                outcome = StoreUnavailable("the write was cancelled")
                if writer.cancelling() or not isinstance(error, asyncio.CancelledError):  # the process ends
                    self._report(batch, outcome)
                    raise
                _log.exception("write failed unexpectedly", items=len(batch), reason=repr(error))
            else:
                outcome = None
                self._items += len(batch)
            finally:
                patience.cancel()
                self._slow.discard(writer)
            if self._waiting:  # the next write goes out first: the store works on it while these outcomes are reported
                loop.call_soon(self._report, batch, outcome)
            else:
                self._report(batch, outcome)
        # Here, not in `_end_writer`, which runs later: whoever comes before would wait for a writer that takes no more.
        self._writers.discard(writer)

    def _end_writer(self, writer: asyncio.Task[None]) -> None:
        """Also one that was cancelled before it began."""
        self._writers.discard(writer)
        self._beginning.discard(writer)

    def _lose_patience(self, writer: asyncio.Task[None]) -> None:
        self._slow.add(writer)
        self._begin_if_due()

    def _report(self, batch: Sequence[tuple[Item, Callable[[Outcome], None]]], outcome: Outcome) -> None:
        self._writes += 1
        self._pending -= len(batch)
        for _, on_outcome in batch:
            try:
                on_outcome(None if outcome is None else _own_copy(outcome))
            except Exception as error:  # the others must get theirs all the same
                _log.exception("reporting an outcome failed", reason=repr(error))


def _own_copy(outcome: Exception) -> Exception:
    """Each waiter raises a copy: a shared one would collect the tracebacks of them all."""
    if not isinstance(outcome, StoreError):
        return outcome
    copy = type(outcome)(*outcome.args)
    copy.__cause__ = outcome.__cause__
    return copy
