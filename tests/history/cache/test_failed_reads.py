"""history/cache/store.py, where a read of the store fails."""

import asyncio

from structlog.testing import capture_logs

from history.store import StoreUnavailable
from tests.history.cache.test_store import Parts, parts
from tests.waiting import eventually

__all__ = ["parts"]


async def test_a_failed_read_is_everybodys_and_the_next_tries_again(parts: Parts) -> None:
    parts.inner.error = StoreUnavailable("cut off by the test")
    errors = await asyncio.gather(*(parts.store.older("video", None, 9) for _ in range(9)), return_exceptions=True)
    assert all(isinstance(error, StoreUnavailable) for error in errors)
    parts.inner.error = None
    assert (await parts.store.older("video", None, 9)).comments == []
    assert parts.inner.reads == 2


async def test_a_read_that_fails_unexpectedly_is_its_callers_and_the_next_tries_again(parts: Parts) -> None:
    parts.inner.error = ZeroDivisionError("a bug")
    with capture_logs() as lines:
        errors = await asyncio.gather(*(parts.store.older("video", None, 9) for _ in range(9)), return_exceptions=True)
    assert errors == [parts.inner.error] * 9
    assert lines == []
    parts.inner.error = None
    assert (await parts.store.older("video", None, 9)).comments == []


async def test_a_failed_read_whose_caller_has_gone_is_logged(parts: Parts) -> None:
    parts.inner.go.clear()
    reading = asyncio.create_task(parts.store.older("video", None, 9))
    await eventually(lambda: parts.inner.reads == 1)
    reading.cancel()
    parts.inner.error = ZeroDivisionError("a bug")
    with capture_logs() as lines:
        parts.inner.go.set()
        await eventually(lambda: len(lines) == 1)
    assert (lines[0]["event"], lines[0]["task"]) == ("task failed", "cache read")
    assert lines[0]["reason"] == "ZeroDivisionError('a bug')"
