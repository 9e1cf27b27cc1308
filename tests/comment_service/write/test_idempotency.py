"""IdempotentWrites: one write for one key, whatever goes wrong beside it"""

import asyncio

import pytest
from structlog.testing import capture_logs

from comment_service.core.admission import Draft
from comment_service.core.errors import IdempotencyKeyReused
from comment_service.write.idempotency import IdempotentWrites, Key
from history.core.model import Comment
from history.store import StoreUnavailable
from tests.comment_service.parts import ANN, comment
from tests.waiting import eventually

DRAFT = Draft("demo", ANN, "hi")
KEY = Key(ANN.id, "demo", "k")


class Writes:
    """Counts them; each waits until the test sets `go`."""

    def __init__(self, error: Exception | None = None) -> None:
        self.count = 0
        self.go = asyncio.Event()
        self.error = error

    async def __call__(self) -> Comment:
        self.count += 1
        written = comment(self.count)
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return written


@pytest.fixture
def writes() -> IdempotentWrites:
    return IdempotentWrites(entries_max=3, keep_ms=1000)


async def test_retries_get_the_first_comment(writes: IdempotentWrites) -> None:
    write = Writes()
    write.go.set()
    comments = [await writes.once(KEY, DRAFT, write, now_ms) for now_ms in (0, 1, 999)]
    assert comments == [comment(1)] * 3
    assert write.count == 1


async def test_simultaneous_ones_share_a_write(writes: IdempotentWrites) -> None:
    write = Writes()
    both = asyncio.gather(*(writes.once(KEY, DRAFT, write, 0) for _ in range(5)))
    await asyncio.sleep(0)
    write.go.set()
    assert await both == [comment(1)] * 5
    assert write.count == 1


async def test_another_draft_under_the_same_key_is_refused(writes: IdempotentWrites) -> None:
    write = Writes()
    write.go.set()
    await writes.once(KEY, DRAFT, write, 0)
    with pytest.raises(IdempotencyKeyReused):
        await writes.once(KEY, Draft("demo", ANN, "something else"), write, 0)


async def test_keys_of_others_do_not_collide(writes: IdempotentWrites) -> None:
    write = Writes()
    write.go.set()
    for key in (KEY, KEY._replace(author_id="other"), KEY._replace(video_id="other")):
        await writes.once(key, DRAFT, write, 0)
    assert write.count == 3


async def test_a_failed_write_is_tried_again(writes: IdempotentWrites) -> None:
    failing = Writes(StoreUnavailable("away"))
    failing.go.set()
    with pytest.raises(StoreUnavailable):
        await writes.once(KEY, DRAFT, failing, 0)
    write = Writes()
    write.go.set()
    assert await writes.once(KEY, DRAFT, write, 0) == comment(1)


async def test_a_caller_who_gives_up_does_not_stop_the_write(writes: IdempotentWrites) -> None:
    write = Writes()
    caller = asyncio.create_task(writes.once(KEY, DRAFT, write, 0))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    write.go.set()
    assert await writes.once(KEY, DRAFT, write, 0) == comment(1)
    assert write.count == 1


async def test_old_and_too_many_are_dropped(writes: IdempotentWrites) -> None:
    write = Writes()
    write.go.set()
    for number in range(5):
        await writes.once(KEY._replace(key=str(number)), DRAFT, write, 0)
    assert len(writes) == 3
    await writes.once(KEY._replace(key="4"), DRAFT, write, 999)
    assert write.count == 5
    await writes.once(KEY._replace(key="4"), DRAFT, write, 1000)
    assert write.count == 6
    assert len(writes) == 1


@pytest.mark.parametrize("error", [StoreUnavailable("away"), IdempotencyKeyReused(), ZeroDivisionError("a fault")])
async def test_a_write_that_fails_behind_a_caller_who_has_gone_is_logged_if_it_is_a_fault(
    writes: IdempotentWrites, error: Exception
) -> None:
    write = Writes(error)
    caller = asyncio.create_task(writes.once(KEY, DRAFT, write, 0))
    await asyncio.sleep(0)
    caller.cancel()
    with capture_logs() as lines:
        write.go.set()
        await eventually(lambda: len(writes) == 0)
    expected = ["ZeroDivisionError('a fault')"] if isinstance(error, ZeroDivisionError) else []
    assert [line["reason"] for line in lines] == expected
