"""FirstAnswers: one write for one key"""

import asyncio

import pytest

from comment_service.core.admission import Draft
from comment_service.core.errors import IdempotencyKeyReused
from comment_service.write.idempotency import FirstAnswers, Key
from history.core.model import Comment
from history.store import StoreUnavailable
from tests.comment_service.parts import ANN, comment

DRAFT = Draft("demo", ANN, "hi")
KEY = Key(ANN.id, "demo", "k")


class Writes:
    """Counts them; each waits until it is let go."""

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
def firsts() -> FirstAnswers:
    return FirstAnswers(entries_max=3, keep_ms=1000)


async def test_retries_get_the_first_answer(firsts: FirstAnswers) -> None:
    write = Writes()
    write.go.set()
    answers = [await firsts.once(KEY, DRAFT, write, now_ms) for now_ms in (0, 1, 999)]
    assert answers == [comment(1)] * 3
    assert write.count == 1


async def test_simultaneous_ones_share_a_write(firsts: FirstAnswers) -> None:
    write = Writes()
    both = asyncio.gather(*(firsts.once(KEY, DRAFT, write, 0) for _ in range(5)))
    await asyncio.sleep(0)
    write.go.set()
    assert await both == [comment(1)] * 5
    assert write.count == 1


async def test_another_draft_under_the_same_key_is_refused(firsts: FirstAnswers) -> None:
    write = Writes()
    write.go.set()
    await firsts.once(KEY, DRAFT, write, 0)
    with pytest.raises(IdempotencyKeyReused):
        await firsts.once(KEY, Draft("demo", ANN, "something else"), write, 0)


async def test_keys_of_others_do_not_meet(firsts: FirstAnswers) -> None:
    write = Writes()
    write.go.set()
    for key in (KEY, KEY._replace(author_id="other"), KEY._replace(video_id="other")):
        await firsts.once(key, DRAFT, write, 0)
    assert write.count == 3


async def test_a_failed_write_is_tried_again(firsts: FirstAnswers) -> None:
    failing = Writes(StoreUnavailable("away"))
    failing.go.set()
    with pytest.raises(StoreUnavailable):
        await firsts.once(KEY, DRAFT, failing, 0)
    write = Writes()
    write.go.set()
    assert await firsts.once(KEY, DRAFT, write, 0) == comment(1)


async def test_a_caller_who_gives_up_does_not_stop_the_write(firsts: FirstAnswers) -> None:
    write = Writes()
    caller = asyncio.create_task(firsts.once(KEY, DRAFT, write, 0))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    write.go.set()
    assert await firsts.once(KEY, DRAFT, write, 0) == comment(1)
    assert write.count == 1


async def test_old_and_too_many_are_forgotten(firsts: FirstAnswers) -> None:
    write = Writes()
    write.go.set()
    for number in range(5):
        await firsts.once(KEY._replace(key=str(number)), DRAFT, write, 0)
    assert len(firsts) == 3
    await firsts.once(KEY._replace(key="4"), DRAFT, write, 999)
    assert write.count == 5
    await firsts.once(KEY._replace(key="4"), DRAFT, write, 1000)
    assert write.count == 6
    assert len(firsts) == 1
