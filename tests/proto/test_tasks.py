"""proto/tasks.py: every failure is in the log, and work that must go on goes on."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from proto import tasks
from proto.tasks import Cancelled, Shared, Supervisor, first_ended, shared
from tests.waiting import eventually


class Gone(Exception):
    """An error after which the process can't go on"""


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "PAUSE_S_MIN", 0.001)


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    made = Supervisor()
    yield made
    await made.close()
    assert len(made) == 0


async def test_kept_work_that_fails_is_logged_and_begun_again(supervisor: Supervisor) -> None:
    begun = 0

    async def beat() -> None:
        nonlocal begun
        begun += 1
        if begun < 3:
            raise ValueError(f"beat {begun}")
        await asyncio.Event().wait()

    with capture_logs() as logs:
        supervisor.keep("beat", beat)
        await eventually(lambda: begun == 3)
    assert [(line["task"], line["reason"]) for line in logs] == [
        ("beat", "ValueError('beat 1')"),
        ("beat", "ValueError('beat 2')"),
    ]
    assert len(supervisor) == 1


async def test_a_cancellation_that_nobody_asked_for_is_a_failure(supervisor: Supervisor) -> None:
    begun = 0

    async def call() -> None:
        nonlocal begun
        begun += 1
        if begun == 1:
            raise asyncio.CancelledError
        await asyncio.Event().wait()

    with capture_logs() as logs:
        supervisor.keep("call", call)
        await eventually(lambda: begun == 2)
    assert [line["task"] for line in logs] == ["call"]


async def test_pauses_grow_up_to_a_bound(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "PAUSE_S_MAX", 0.004)

    async def fail() -> None:
        raise ValueError

    with capture_logs() as logs:
        supervisor.keep("fail", fail)
        await eventually(lambda: len(logs) >= 4)
    assert [line["pause_s"] for line in logs][:4] == [0.001, 0.002, 0.004, 0.004]


async def test_kept_work_that_returns_is_over(supervisor: Supervisor) -> None:
    async def end() -> None:
        return

    await supervisor.keep("end", end)
    await eventually(lambda: len(supervisor) == 0)


async def test_a_fatal_error_reaches_the_waiter_and_ends_the_work(supervisor: Supervisor) -> None:
    begun = 0

    async def hold() -> None:
        nonlocal begun
        begun += 1
        raise Gone("another process has it")

    await supervisor.keep("hold", hold, fatal=(Gone,))
    with pytest.raises(Gone, match="another process has it"):
        await supervisor.wait_fatal()
    assert begun == 1


async def test_spawned_work_that_fails_is_logged(supervisor: Supervisor) -> None:
    async def read() -> None:
        raise LookupError("no such row")

    with capture_logs() as logs:
        await supervisor.spawn("read", read())
    assert [(line["task"], line["reason"]) for line in logs] == [("read", "LookupError('no such row')")]


async def test_close_ends_all_work_and_logs_no_failure(supervisor: Supervisor) -> None:
    ended = []

    async def wait(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    with capture_logs() as logs:
        supervisor.keep("kept", lambda: wait("kept"))
        supervisor.spawn("spawned", wait("spawned"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await supervisor.close()
    assert sorted(ended) == ["kept", "spawned"]
    assert logs == []


async def test_an_error_of_shared_work_reaches_every_waiter() -> None:
    ended = []

    async def read() -> int:
        raise LookupError("no such row")

    with capture_logs() as logs:
        reading = Shared("read", read(), on_end=lambda: ended.append(True))
        outcomes = await asyncio.gather(*(reading.wait() for _ in range(3)), return_exceptions=True)
    assert [repr(outcome) for outcome in outcomes] == ["LookupError('no such row')"] * 3
    assert ended == [True]
    assert logs == []


@pytest.mark.parametrize(("expected", "lines"), [((), 1), ((LookupError,), 0)])
async def test_shared_work_goes_on_without_waiters_and_logs_what_none_of_them_sees(
    expected: tuple[type[Exception], ...], lines: int
) -> None:
    go, ended = asyncio.Event(), asyncio.Event()

    async def read() -> int:
        await go.wait()
        raise LookupError("no such row")

    reading = Shared("read", read(), expected=expected, on_end=ended.set)
    waiter = shared(reading.wait())
    await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    with capture_logs() as logs:
        go.set()
        await ended.wait()
        await asyncio.sleep(0)
    assert [(line["task"], line["reason"]) for line in logs] == [("read", "LookupError('no such row')")] * lines


async def test_shared_work_that_is_cancelled_from_inside_is_an_error_of_its_waiters() -> None:
    async def read() -> int:
        raise asyncio.CancelledError  # as a closed gRPC channel does

    reading = Shared("read", read())
    with pytest.raises(Cancelled):
        await reading.wait()


async def test_who_waits_for_shared_work_that_is_ended_hears_of_it() -> None:
    reading = Shared("read", asyncio.Event().wait())
    waiter = shared(reading.wait())
    await asyncio.sleep(0)
    await reading.close()
    with pytest.raises(Cancelled):
        await waiter


async def test_shared_work_can_be_ended() -> None:
    ended = []
    reading = Shared("read", asyncio.Event().wait(), on_end=lambda: ended.append(True))
    with capture_logs() as logs:
        await reading.close()
        await asyncio.sleep(0)
    assert (ended, logs) == ([True], [])


async def test_the_first_to_end_ends_the_others() -> None:
    ended = []

    async def write() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("write")

    async def read() -> None:
        await asyncio.sleep(0)
        raise LookupError("the stream is over")

    with pytest.raises(LookupError, match="the stream is over"):
        await first_ended(write(), read())
    assert ended == ["write"]


async def test_the_others_end_when_the_caller_is_cancelled() -> None:
    ended = []

    async def wait(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    both = shared(first_ended(wait("read"), wait("write")))
    for _ in range(3):
        await asyncio.sleep(0)
    both.cancel()
    with pytest.raises(asyncio.CancelledError):
        await both
    assert sorted(ended) == ["read", "write"]
