"""SpooledStore: comments with an Idempotency-Key are accepted while the store is away, and claimed when it isn't"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from history.core.model import Comment
from history.opening import open_store
from history.store import Claim, Claimed, Outcome, StoreUnavailable
from tests.history.comments import a_comment
from tests.history.spool.parts import Parts


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    parts = Parts(await open_store(f"sqlite:{tmp_path / 'comments.db'}"), tmp_path)
    yield parts
    await parts.close()


def keyed(comment: Comment, key: str = "key") -> Claimed:
    return comment, Claim("ann", comment.video_id, key, comment.id, comment.created_at_ms, b"digest")


async def claim(parts: Parts, *items: Claimed) -> Sequence[Outcome]:
    return await parts.store.append_claimed(items, 0, 60_000)


async def test_keys_are_claimed_in_a_store_that_answers(parts: Parts) -> None:
    first, second, other = keyed(a_comment(1)), keyed(a_comment(2)), keyed(a_comment(3), "other")
    assert await claim(parts) == []
    assert await claim(parts, first) == [first[1]]
    assert await claim(parts, second, other) == [first[1], other[1]]
    assert parts.spool.is_empty
    assert (await parts.store.newer("video", 0, 9)).comments == [first[0], other[0]]


async def test_a_page_of_the_spool_lacks_nothing_that_was_claimed(parts: Parts) -> None:
    await claim(parts, keyed(a_comment(5)))
    parts.inner.away = True
    for n in (3, 4):
        await parts.store.append([a_comment(n)])
    with pytest.raises(StoreUnavailable):
        await parts.store.older("video", None, 2)  # the store has the newest


@pytest.mark.parametrize("how", ["away", "refuses", "stuck"])
async def test_while_it_is_away_each_keyed_comment_is_accepted_and_nobody_waits_twice(parts: Parts, how: str) -> None:
    await parts.store.append([a_comment(1)])
    setattr(parts.inner, how, True)
    items = [keyed(a_comment(n)) for n in (2, 3)]
    appends = parts.inner.appends
    assert await claim(parts, items[0]) == [items[0][1]]
    assert parts.store.is_away
    assert await claim(parts, items[1]) == [items[1][1]]
    assert parts.spool.statistics().comments == 2
    if how == "stuck":
        assert parts.inner.appends <= appends + 2  # ours, and the drain's probe
    setattr(parts.inner, how, False)
    await asyncio.wait_for(parts.store.wait_drained(), 10)
    assert (await parts.inner.newer("video", 0, 9)).comments == [a_comment(1), items[0][0], items[1][0]]


async def test_what_the_store_cannot_say_of_one_key_is_no_outage(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unsure(items: Sequence[Claimed], now_ms: int, keep_ms: int) -> Sequence[Outcome]:
        return [StoreUnavailable("no LWT") for _ in items]

    monkeypatch.setattr(parts.inner, "append_claimed", unsure)
    (outcome,) = await claim(parts, keyed(a_comment(1)))
    assert isinstance(outcome, StoreUnavailable)
    assert parts.spool.is_empty
    assert not parts.store.is_away
