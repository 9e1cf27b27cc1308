"""SpooledStore: comments with an Idempotency-Key are accepted while the store is away, and claimed when it isn't"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from history.clocks import wall_ms
from history.core.model import ERASED, Change, Comment
from history.opening import open_store
from history.spool.draining import Lost, Taken
from history.store import Claim, Claimed, History, Outcome, StoreUnavailable
from tests.history.comments import a_comment
from tests.history.spool.parts import Parts
from tests.waiting import eventually


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    parts = Parts(await open_store(f"sqlite:{tmp_path / 'comments.db'}"), tmp_path)
    yield parts
    await parts.close()


def keyed(comment: Comment, key: str = "key") -> Claimed:
    digest = comment.message.encode()
    return comment, Claim(comment.author.id, comment.video_id, key, comment.id, comment.created_at_ms, digest)


async def claim(parts: Parts, *items: Claimed) -> Sequence[Outcome]:
    return await parts.store.append_claimed(items, wall_ms(), 60_000)


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
    items = [keyed(a_comment(n), f"key {n}") for n in (2, 3)]
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


class Process:
    """A spool before a store that several share. Withdraws as comment_service does, without telling viewers."""

    def __init__(self, history: History, path: Path) -> None:
        self._history = history
        self._path = path
        self.lost: list[Lost] = []
        self.fails = False
        self.parts = Parts(history, path, withdraw=self._withdraw)

    async def post(self, *items: Claimed) -> None:
        await claim(self.parts, *items)

    async def die(self) -> None:
        """The next one finds its spool."""
        self.parts.draining.cancel()
        await asyncio.wait([self.parts.draining])
        await self.parts.spool.close()
        away = self.parts.inner.away
        self.parts = Parts(self._history, self._path, withdraw=self._withdraw)
        self.parts.inner.away = away

    async def drain(self) -> None:
        self.parts.inner.away = False
        await asyncio.wait_for(self.parts.store.wait_drained(), 10)

    async def _withdraw(self, lost: Lost | Taken) -> None:
        assert isinstance(lost, Lost)
        if self.fails:
            raise StoreUnavailable("cut off by the test")
        self.lost.append(lost)
        change_id = lost.comment.id + 1_000_000
        await self._history.apply([Change(change_id, lost.comment.video_id, ERASED, target_id=lost.comment.id)])


@pytest.fixture
async def history(tmp_path: Path) -> AsyncIterator[History]:
    history = await open_store(f"sqlite:{tmp_path / 'shared.db'}")
    yield history
    await history.close()


@pytest.fixture
async def two(history: History, tmp_path: Path) -> AsyncIterator[tuple[Process, Process]]:
    first, second = (Process(history, tmp_path / name) for name in "ab")
    yield first, second
    for process in (first, second):
        process.parts.draining.cancel()
        await asyncio.wait([process.parts.draining])
        await process.parts.spool.close()


async def visible(history: History) -> list[int]:
    return [comment.id for comment in (await history.newer("video", 0, 100)).comments]


@pytest.mark.parametrize("dies", [False, True])
async def test_a_spooled_comment_whose_key_was_claimed_meanwhile_is_withdrawn(
    history: History, two: tuple[Process, Process], *, dies: bool
) -> None:
    first, second = two
    first.parts.inner.away = True
    await first.post(keyed(a_comment(1)), keyed(a_comment(2), "other"))
    await second.post(keyed(a_comment(3)))
    if dies:
        await first.die()
    await first.drain()
    assert [(lost.comment, lost.key, lost.standing.comment_id) for lost in first.lost] == [(a_comment(1), "key", 3)]
    assert await visible(history) == [2, 3]
    (again,) = await claim(second.parts, keyed(a_comment(9)))
    assert isinstance(again, Claim)
    assert again.comment_id == 3


async def test_what_is_drained_first_stands_if_both_were_spooled(
    history: History, two: tuple[Process, Process]
) -> None:
    for n, process in enumerate(two, 1):
        process.parts.inner.away = True
        await process.post(keyed(a_comment(n)))
    await two[1].drain()
    await two[0].drain()
    assert [[lost.comment.id for lost in process.lost] for process in two] == [[1], []]
    assert await visible(history) == [2]


async def test_what_cannot_be_withdrawn_yet_stays_in_the_spool(history: History, two: tuple[Process, Process]) -> None:
    first, second = two
    first.parts.inner.away = first.fails = True
    await first.post(keyed(a_comment(1)), keyed(a_comment(2), "other"))
    await second.post(keyed(a_comment(3)))
    first.parts.inner.away = False
    await eventually(lambda: first.parts.spool.statistics().comments == 1)
    assert not first.parts.store.is_away
    await first.die()
    assert a_comment(1) in first.parts.spool.comments.newer("video", 0, 9)
    first.fails = False
    await first.drain()
    assert [lost.comment.id for lost in first.lost] == [1]
    assert await visible(history) == [2, 3]


async def test_two_texts_under_one_key_both_stand(history: History, two: tuple[Process, Process]) -> None:
    first, second = two
    first.parts.inner.away = True
    await first.post(keyed(a_comment(1, message="one thing")))
    await second.post(keyed(a_comment(2, message="another thing")))
    await first.drain()
    assert await visible(history) == [1, 2]
    assert first.lost == []


async def test_a_key_that_the_store_cannot_decide_keeps_only_its_comment_in_the_spool(
    history: History, two: tuple[Process, Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    process, _ = two
    append_claimed = process.parts.inner.append_claimed

    async def unsure(items: Sequence[Claimed], now_ms: int, keep_ms: int) -> Sequence[Outcome]:
        firsts = iter(await append_claimed([item for item in items if item[1].key != "bad"], now_ms, keep_ms))
        return [StoreUnavailable("no LWT") if claim.key == "bad" else next(firsts) for _, claim in items]

    process.parts.inner.away = True
    await process.post(keyed(a_comment(1), "bad"), keyed(a_comment(2), "good"))
    with monkeypatch.context() as patched:
        patched.setattr(process.parts.inner, "append_claimed", unsure)
        process.parts.inner.away = False
        await eventually(lambda: process.parts.spool.statistics().comments == 1)
        await eventually(lambda: not process.parts.store.is_away)
        await process.post(keyed(a_comment(3), "third"))
        assert await visible(history) == [2, 3]
    await process.drain()
    assert await visible(history) == [1, 2, 3]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("post"), st.integers(0, 2), st.sampled_from(["key 1", "key 2"])),
        st.tuples(st.sampled_from(["cut", "heal", "die"]), st.integers(0, 2), st.just("")),
    ),
    max_size=14,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
async def test_after_the_outage_exactly_one_comment_of_each_key_stands(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, str]]
) -> None:
    """Wherever its retries went, in whichever order stores went away and came back, and processes died"""
    path = tmp_path_factory.mktemp("outage")
    history = await open_store(f"sqlite:{path / 'shared.db'}")
    processes = [Process(history, path / name) for name in "abc"]
    keys: dict[int, str] = {}
    for number, (what, which, key) in enumerate(steps, 1):
        process = processes[which]
        if what == "post":
            await process.post(keyed(a_comment(number), key))
            keys[number] = key
        elif what == "die":
            await process.die()
        else:
            process.parts.inner.away = what == "cut"
    for process in processes:
        await process.drain()
    standing = await visible(history)
    assert sorted(keys[each] for each in standing) == sorted(set(keys.values()))
    for process in processes:
        for lost in process.lost:
            assert lost.standing.comment_id in standing
            assert lost.comment.id not in standing
    for number in standing:
        (again,) = await claim(processes[0].parts, keyed(a_comment(99), keys[number]))
        assert isinstance(again, Claim)
        assert again.comment_id == number
    for process in processes:
        process.parts.draining.cancel()
        await asyncio.wait([process.parts.draining])
        await process.parts.spool.close()
    await history.close()
