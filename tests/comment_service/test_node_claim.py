"""Node numbers: one holder each, also when the store comes and goes"""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from comment_service.node_claim import LeaseSettings, NodeClaim, NodeTaken, NoNodeFree, free_node, holder_of, last_node
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


async def test_the_second_is_refused_with_clear_words(history: History, keep: Keep) -> None:
    first, second = (NodeClaim(3, holder, lambda: history, SETTINGS) for holder in ("a", "b"))
    keep(first)
    assert await first.wait_decided()
    refused = keep(second)
    assert not await second.wait_decided()
    with pytest.raises(NodeTaken, match=r"node 3 belongs to .*process"):
        await refused
    other_number = NodeClaim(4, "b", lambda: history, SETTINGS)
    keep(other_number)
    assert await other_number.wait_decided()


async def test_released_it_is_free_at_once(history: History, keep: Keep) -> None:
    first, second = (NodeClaim(3, holder, lambda: history, SETTINGS) for holder in ("a", "b"))
    keeping = keep(first)
    assert await first.wait_decided()
    keeping.cancel()
    await first.release()
    keep(second)
    assert await second.wait_decided()


async def test_a_killed_process_goes_on_with_its_number(history: History, tmp_path: Path, keep: Keep) -> None:
    for _ in range(2):
        claim = NodeClaim(3, holder_of(tmp_path), lambda: history, SETTINGS)
        keep(claim)
        assert await claim.wait_decided()


async def test_a_store_that_is_away_does_not_stop_accepting(history: History, keep: Keep) -> None:
    is_away = True

    def opened() -> History:
        if is_away:
            raise StoreUnavailable("away")
        return history

    claim = NodeClaim(3, "a", opened, IMPATIENT)
    keep(claim)
    assert await claim.wait_decided()
    await claim.release()  # nothing to release, and no error
    is_away = False

    async def is_claimed() -> bool:
        return await history.claim_node(3, "b", "b", 0, 1) is not None

    await eventually(is_claimed)


async def test_who_started_without_a_claim_ends_when_the_number_is_anothers(history: History, keep: Keep) -> None:
    await history.claim_node(3, "b", "b on its host", 2**60, 60_000)
    is_away = True

    def opened() -> History:
        if is_away:
            raise StoreUnavailable("away")
        return history

    claim = NodeClaim(3, "a", opened, IMPATIENT)
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
