"""Node numbers: one holder each, also when the store comes and goes"""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from comment_service.node_claim import (
    LeaseSettings,
    NodeClaim,
    NodeTaken,
    NoNodeFree,
    free_node,
    last_node,
    leased_node,
)
from history.opening import open_store
from history.store import History, StoreUnavailable
from tests.waiting import eventually

SETTINGS = LeaseSettings(lease_ms=60_000, renew_ms=5, retry_ms=5, wait_ms=20_000)
IMPATIENT = LeaseSettings(lease_ms=60_000, renew_ms=5, retry_ms=5, wait_ms=10)


@pytest.fixture
async def history(tmp_path: Path) -> AsyncIterator[History]:
    history = await open_store(f"sqlite:{tmp_path}/comments.db")
    yield history
    await history.close()


@pytest.fixture
async def keep() -> AsyncIterator[Callable[[NodeClaim], "asyncio.Task[None]"]]:
    tasks: list[asyncio.Task[None]] = []

    def start(claim: NodeClaim) -> "asyncio.Task[None]":
        tasks.append(asyncio.create_task(claim.keep()))
        return tasks[-1]

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


Keep = Callable[[NodeClaim], "asyncio.Task[None]"]


async def test_the_second_is_refused_with_clear_words(history: History, tmp_path: Path, keep: Keep) -> None:
    first, second = (NodeClaim(3, tmp_path / holder, lambda: history, SETTINGS) for holder in ("a", "b"))
    keep(first)
    assert await first.wait_decided()
    refused = keep(second)
    assert not await second.wait_decided()
    with pytest.raises(NodeTaken, match=r"node 3 belongs to .*process"):
        await refused
    other_number = NodeClaim(4, tmp_path / "b", lambda: history, SETTINGS)
    keep(other_number)
    assert await other_number.wait_decided()


async def test_released_it_is_free_at_once(history: History, tmp_path: Path, keep: Keep) -> None:
    first, second = (NodeClaim(3, tmp_path / holder, lambda: history, SETTINGS) for holder in ("a", "b"))
    keeping = keep(first)
    assert await first.wait_decided()
    keeping.cancel()
    await first.release()
    keep(second)
    assert await second.wait_decided()


async def test_a_killed_process_goes_on_with_its_number(history: History, tmp_path: Path, keep: Keep) -> None:
    for _ in range(2):
        claim = NodeClaim(3, tmp_path, lambda: history, SETTINGS)
        keep(claim)
        assert await claim.wait_decided()


async def test_a_killed_process_waits_for_no_store_while_its_lease_lasts(
    history: History, tmp_path: Path, keep: Keep
) -> None:
    def away() -> History:
        raise StoreUnavailable("away")

    killed = NodeClaim(3, tmp_path, lambda: history, SETTINGS)
    keep(killed)
    assert await killed.wait_decided()
    await eventually(lambda: leased_node(tmp_path, 0) == 3)
    assert await asyncio.wait_for(NodeClaim(3, tmp_path, away, SETTINGS).wait_decided(), 5)
    for other in (NodeClaim(4, tmp_path, away, SETTINGS), NodeClaim(3, tmp_path / "new", away, SETTINGS)):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(other.wait_decided(), 0.05)
    assert leased_node(tmp_path, 2**60) is None


async def test_a_lease_that_was_given_up_or_lost_is_not_believed(history: History, tmp_path: Path, keep: Keep) -> None:
    claim = NodeClaim(3, tmp_path, lambda: history, SETTINGS)
    keeping = keep(claim)
    await eventually(lambda: leased_node(tmp_path, 0) == 3)
    keeping.cancel()
    await claim.release()
    assert leased_node(tmp_path, 0) is None
    (tmp_path / "lease").write_text(f"3 {2**60}\n")  # by a clock that was wrong
    await history.claim_node(3, "b", "b on its host", 2**60, 60_000)
    with pytest.raises(NodeTaken):
        await keep(NodeClaim(3, tmp_path, lambda: history, SETTINGS))
    assert leased_node(tmp_path, 0) is None


@pytest.mark.parametrize("text", ["", "3", "3 x", "1024 99", "-1 99", "3 4 5"])
def test_a_spoilt_lease_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "lease").write_text(text)
    assert leased_node(tmp_path, 0) is None


async def test_a_store_that_is_away_does_not_stop_accepting(history: History, tmp_path: Path, keep: Keep) -> None:
    is_away = True

    def opened() -> History:
        if is_away:
            raise StoreUnavailable("away")
        return history

    claim = NodeClaim(3, tmp_path, opened, IMPATIENT)
    keep(claim)
    assert await claim.wait_decided()
    await claim.release()  # nothing to release, and no error
    is_away = False

    async def is_claimed() -> bool:
        return await history.claim_node(3, "b", "b", 0, 1) is not None

    await eventually(is_claimed)


async def test_who_started_without_a_claim_ends_when_the_number_is_anothers(
    history: History, tmp_path: Path, keep: Keep
) -> None:
    await history.claim_node(3, "b", "b on its host", 2**60, 60_000)
    is_away = True

    def opened() -> History:
        if is_away:
            raise StoreUnavailable("away")
        return history

    claim = NodeClaim(3, tmp_path, opened, IMPATIENT)
    keeping = keep(claim)
    assert await claim.wait_decided()
    is_away = False
    with pytest.raises(NodeTaken, match="b on its host"):
        await keeping


async def test_auto_takes_a_free_number_and_keeps_it(history: History, tmp_path: Path) -> None:
    nodes = {await free_node(history, tmp_path / str(n), 60_000) for n in range(5)}
    assert len(nodes) == 5
    for n in range(5):
        last = last_node(tmp_path / str(n))
        assert await free_node(history, tmp_path / str(n), 60_000) == last


async def test_no_number_is_left(tmp_path: Path) -> None:
    class Full:
        async def claim_node(self, *_: object) -> str:
            return "somebody"

    with pytest.raises(NoNodeFree):
        await free_node(Full(), tmp_path, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "no number", "1024", "-1"])
def test_a_spoilt_file_names_no_number(tmp_path: Path, text: str) -> None:
    (tmp_path / "node").write_text(text)
    assert last_node(tmp_path) is None
    assert last_node(tmp_path / "nowhere") is None
