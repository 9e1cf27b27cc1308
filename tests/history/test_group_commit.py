"""GroupCommit: whatever the order of arrivals, failures and cancellations, each waiter gets its batch's outcome."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from history.core.model import Comment
from history.group_commit import GroupCommit
from history.store import StoreOverloaded, StoreUnavailable
from tests.history.comments import a_comment


@dataclass
class GatedStore:
    """A store whose writes end when the test says so."""

    batches: list[list[Comment]] = field(default_factory=list)
    gates: list["asyncio.Future[None]"] = field(default_factory=list)
    under_way_max: int = 0
    begun: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))  # released by each write

    async def append(self, comments: Sequence[Comment]) -> None:
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.batches.append(list(comments))
        self.gates.append(gate)
        self.begun.release()
        self.under_way_max = max(self.under_way_max, sum(not gate.done() for gate in self.gates))
        await gate

    def finish(self, error: Exception | None = None) -> None:
        """Ends the oldest write under way, if there is one."""
        for gate in self.gates:
            if not gate.done():
                gate.set_exception(error) if error else gate.set_result(None)
                return


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_arrives_during_a_write_goes_with_the_next_one() -> None:
    store = GatedStore()
    commit = GroupCommit(store.append, batch_max=100, pending_max=100)
    waiters = [asyncio.create_task(commit.append(a_comment(0)))]
    await turns()
    waiters += [asyncio.create_task(commit.append(a_comment(n))) for n in range(1, 6)]
    await turns()
    assert [len(batch) for batch in store.batches] == [1]
    store.finish()
    await turns()
    assert [len(batch) for batch in store.batches] == [1, 5]
    store.finish()
    await asyncio.gather(*waiters)


async def test_what_comes_close_behind_a_write_goes_together(monkeypatch: pytest.MonkeyPatch) -> None:
    store, now_s, loop = GatedStore(), 1_000.0, asyncio.get_running_loop()
    commit = GroupCommit(store.append, batch_max=4, pending_max=100, writes_max=2, gather_ms=60_000)
    monkeypatch.setattr(loop, "time", lambda: now_s)  # timers of the loop itself end when the test says so
    waiters = [asyncio.create_task(commit.append(a_comment(0)))]
    await turns()
    store.finish()
    await turns()
    waiters += [asyncio.create_task(commit.append(a_comment(n))) for n in range(1, 4)]
    await turns()
    assert [len(batch) for batch in store.batches] == [1], "the next write isn't due, and isn't full"
    now_s += 61
    await turns()
    assert [len(batch) for batch in store.batches] == [1, 3]
    store.finish()
    await turns()
    waiters.append(asyncio.create_task(commit.append(a_comment(4))))
    await turns()
    waiters += [asyncio.create_task(commit.append(a_comment(n))) for n in range(5, 8)]
    await turns()
    assert [len(batch) for batch in store.batches] == [1, 3, 4], "a full one doesn't wait"
    store.finish()
    now_s += 61
    await asyncio.gather(*waiters)
    await commit.close()
    assert [len(batch) for batch in store.batches] == [1, 3, 4], "whoever has waited finds nothing, and writes nothing"


async def test_one_author_after_another() -> None:
    written: list[Comment] = []

    async def append(comments: Sequence[Comment]) -> None:
        written.extend(comments)

    commit = GroupCommit(append, batch_max=10, pending_max=10)
    for n in range(20):
        await commit.append(a_comment(n))
    assert [comment.id for comment in written] == list(range(20))
    assert commit.statistics().items == 20
    assert commit.statistics().pending == 0


async def test_too_many_waiting_are_refused_and_the_others_go_on() -> None:
    store = GatedStore()
    commit = GroupCommit(store.append, batch_max=2, pending_max=3)
    waiters = [asyncio.create_task(commit.append(a_comment(n))) for n in range(3)]
    await turns()
    with pytest.raises(StoreOverloaded):
        await commit.append(a_comment(3))
    store.finish()
    await turns()
    store.finish()
    await asyncio.gather(*waiters)
    assert [comment.id for batch in store.batches for comment in batch] == [0, 1, 2]


async def test_a_full_batch_does_not_wait_for_the_write_under_way() -> None:
    store = GatedStore()
    commit = GroupCommit(store.append, batch_max=3, pending_max=100, writes_max=2, patience_ms=60_000)
    waiters = [asyncio.create_task(commit.append(a_comment(0)))]
    await turns()
    waiters += [asyncio.create_task(commit.append(a_comment(n))) for n in (1, 2)]
    await turns()
    assert [len(batch) for batch in store.batches] == [1]
    waiters += [asyncio.create_task(commit.append(a_comment(n))) for n in (3, 4, 5, 6, 7, 8)]
    await turns()
    assert [len(batch) for batch in store.batches] == [1, 3]  # and no third one beside them
    for _ in range(4):
        store.finish()
        await turns()
    await asyncio.gather(*waiters)
    assert [len(batch) for batch in store.batches] == [1, 3, 3, 2]


async def test_what_comes_in_one_turn_goes_in_as_few_writes_as_hold_it() -> None:
    store = GatedStore()
    commit = GroupCommit(store.append, batch_max=5, pending_max=100, writes_max=4, patience_ms=60_000)
    waiters = [asyncio.create_task(commit.append(a_comment(0)))]
    await turns()
    waiters += [asyncio.create_task(commit.append(a_comment(n))) for n in range(1, 8)]
    await turns()
    assert [len(batch) for batch in store.batches] == [1, 5]
    waiters += [asyncio.create_task(commit.append(a_comment(n))) for n in range(8, 11)]
    await turns()
    assert [len(batch) for batch in store.batches] == [1, 5, 5]
    for _ in range(3):
        store.finish()
    await asyncio.gather(*waiters)


async def test_nobody_waits_for_the_end_of_a_slow_write() -> None:
    store = GatedStore()
    commit = GroupCommit(store.append, batch_max=100, pending_max=100, writes_max=2, patience_ms=0)
    first = asyncio.create_task(commit.append(a_comment(0)))
    second = asyncio.create_task(commit.append(a_comment(1)))
    await store.begun.acquire()
    third = asyncio.create_task(commit.append(a_comment(2)))
    await store.begun.acquire()
    store.gates[1].set_result(None)
    await third
    assert not first.done()
    fourth = asyncio.create_task(commit.append(a_comment(3)))  # the first one is slow still
    await store.begun.acquire()
    store.finish()
    store.finish()
    await asyncio.gather(first, second, fourth)
    assert [[comment.id for comment in batch] for batch in store.batches] == [[0, 1], [2], [3]]


async def test_the_next_write_begins_before_the_outcome_of_the_last_one_is_reported() -> None:
    store = GatedStore()
    commit = GroupCommit(store.append, batch_max=100, pending_max=100)
    begun: list[int] = []

    async def author(number: int) -> None:
        await commit.append(a_comment(number))
        begun.append(len(store.batches))

    first = asyncio.create_task(author(0))
    await turns()
    second = asyncio.create_task(author(1))
    await turns()
    store.finish()
    await first
    assert begun == [2]
    store.finish()
    await second


async def test_each_waiter_of_a_failed_batch_gets_an_error_of_its_own() -> None:
    store = GatedStore()
    commit = GroupCommit(store.append, batch_max=10, pending_max=10)
    waiters = [asyncio.create_task(commit.append(a_comment(n))) for n in range(3)]
    await turns()
    store.finish(StoreUnavailable("the disk is full"))
    errors = await asyncio.gather(*waiters, return_exceptions=True)
    assert [str(error) for error in errors] == ["the disk is full"] * 3
    assert len({id(error) for error in errors}) == 3


async def test_a_callback_that_fails_keeps_no_outcome_from_the_others() -> None:
    outcomes: list[Exception | None] = []
    store = GatedStore()
    commit = GroupCommit(store.append, batch_max=10, pending_max=10)

    def fail(_: Exception | None) -> None:
        raise ZeroDivisionError

    with capture_logs() as lines:
        commit.submit(a_comment(0), fail)
        commit.submit(a_comment(2), outcomes.append)
        waiter = asyncio.create_task(commit.append(a_comment(1)))
        await turns()
        store.finish()
        await turns()
        store.finish()
        await waiter
    assert [(line["event"], line["reason"]) for line in lines] == [
        ("reporting an outcome failed", "ZeroDivisionError()")
    ]
    assert outcomes == [None]


@pytest.mark.parametrize("error", [ZeroDivisionError("a bug"), asyncio.CancelledError("from inside the store")])
async def test_a_write_that_fails_unexpectedly_is_logged_and_reported_and_the_next_is_written(
    error: BaseException,
) -> None:
    written: list[int] = []

    async def append(comments: Sequence[Comment]) -> None:
        await asyncio.sleep(0)
        if comments[0].id == 0:
            raise error
        written.extend(comment.id for comment in comments)

    commit = GroupCommit(append, batch_max=2, pending_max=10)
    with capture_logs() as lines:
        appends = (commit.append(a_comment(n)) for n in range(5))
        outcomes = await asyncio.gather(*appends, return_exceptions=True)
    expected = ZeroDivisionError if isinstance(error, ZeroDivisionError) else StoreUnavailable
    assert [type(outcome) for outcome in outcomes] == [expected] * 2 + [type(None)] * 3
    assert [(line["event"], line["items"], line["reason"]) for line in lines] == [
        ("write failed unexpectedly", 2, repr(error))
    ]
    await commit.append(a_comment(5))
    assert written == [2, 3, 4, 5]
    assert commit.statistics().pending == commit.statistics().writes_under_way == 0


async def test_close_writes_what_was_accepted_and_takes_nothing_more() -> None:
    store = GatedStore()
    commit = GroupCommit(store.append, batch_max=1, pending_max=10)
    waiters = [asyncio.create_task(commit.append(a_comment(n))) for n in range(3)]
    await turns()
    closing = asyncio.create_task(commit.close())
    for _ in range(3):
        await turns()
        assert not closing.done()
        store.finish()
    await asyncio.gather(closing, *waiters)
    with pytest.raises(StoreUnavailable):
        await commit.append(a_comment(4))


async def test_waiters_get_an_error_when_the_loop_ends_the_write() -> None:
    store = GatedStore()
    commit = GroupCommit(store.append, batch_max=10, pending_max=10)
    waiter = asyncio.create_task(commit.append(a_comment(1)))
    await turns()
    (writer,) = commit._writers
    writer.cancel()
    with pytest.raises(StoreUnavailable):
        await waiter


Step = tuple[Literal["append", "cancel", "finish", "fail", "turn"], int]
steps = st.lists(
    st.tuples(st.sampled_from(["append", "append", "append", "cancel", "finish", "fail", "turn"]), st.integers(0, 20)),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(
    steps=steps,
    batch_max=st.integers(1, 5),
    pending_max=st.integers(1, 12),
    writes_max=st.integers(1, 3),
    patience_ms=st.sampled_from([0, 1, 60_000]),
)
def test_every_schedule(steps: list[Step], batch_max: int, pending_max: int, writes_max: int, patience_ms: int) -> None:
    asyncio.run(_run_schedule(steps, batch_max, pending_max, writes_max, patience_ms))


async def _run_schedule(steps: list[Step], batch_max: int, pending_max: int, writes_max: int, patience_ms: int) -> None:
    store = GatedStore()
    commit = GroupCommit(
        store.append,
        batch_max=batch_max,
        pending_max=pending_max,
        writes_max=writes_max,
        patience_ms=patience_ms,
    )
    waiters: list[asyncio.Task[None]] = []
    for step, which in steps:
        if step == "append":
            waiters.append(asyncio.create_task(commit.append(a_comment(len(waiters)))))
        elif step == "cancel" and waiters:
            waiters[which % len(waiters)].cancel()
        elif step in ("finish", "fail"):
            store.finish(StoreUnavailable("failed") if step == "fail" else None)
        elif step == "turn":
            await turns(which)
        assert commit.statistics().pending <= pending_max
    closing = asyncio.create_task(commit.close())
    while not closing.done():
        store.finish()
        await turns(1)
    await asyncio.wait([*waiters, closing])

    written = [comment.id for batch in store.batches for comment in batch]
    assert len(written) == len(set(written))
    assert all(0 < len(batch) <= batch_max for batch in store.batches)
    assert store.under_way_max <= writes_max
    assert written == sorted(written)  # taken in the order of arrival
    failed = {
        comment.id
        for batch, gate in zip(store.batches, store.gates, strict=True)
        for comment in batch
        if gate.exception() is not None
    }
    for number, waiter in enumerate(waiters):
        if waiter.cancelled():
            continue
        error = waiter.exception()
        if number in written:
            assert isinstance(error, StoreUnavailable) == (number in failed)
        else:
            assert isinstance(error, StoreUnavailable)  # refused: too many waiting, or closed
    with suppress(asyncio.CancelledError):
        await closing
    assert commit.statistics().pending == 0
