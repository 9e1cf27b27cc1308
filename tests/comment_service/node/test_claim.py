"""Node numbers: one holder each, also when the store comes and goes"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comment_service.clocks import boot_ms
from comment_service.node.claim import (
    LeaseSettings,
    NodeClaim,
    NodeTaken,
    NoNodeFree,
    choose_node,
    free_node,
    last_node,
    remember_node,
    surely_until_ms,
)
from comment_service.node.holding import begin_life, is_leased, lease_file, save_lease
from comment_service.publish.watermark import Watermark
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
    await eventually(lambda: is_leased(tmp_path, 3, 0))
    assert await asyncio.wait_for(NodeClaim(3, tmp_path, away, SETTINGS).wait_decided(), 5)
    for other in (NodeClaim(4, tmp_path, away, SETTINGS), NodeClaim(3, tmp_path / "new", away, SETTINGS)):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(other.wait_decided(), 0.05)
    assert not is_leased(tmp_path, 3, 2**60)


async def test_two_in_one_folder_have_a_lease_each(history: History, tmp_path: Path, keep: Keep) -> None:
    first, second = (NodeClaim(node, tmp_path, lambda: history, SETTINGS) for node in (3, 4))
    keeping = [keep(claim) for claim in (first, second)]
    await eventually(lambda: is_leased(tmp_path, 3, 0) and is_leased(tmp_path, 4, 0))
    keeping[1].cancel()
    await second.release()
    assert is_leased(tmp_path, 3, 0)
    assert not is_leased(tmp_path, 4, 0)


@given(st.integers(0, 2**42), st.integers(1_000, 100_000))
def test_no_process_believes_in_its_lease_for_longer_than_the_row_lives(now_ms: int, lease_ms: int) -> None:
    row_gone_at_s = now_ms // 1000 + max(1, lease_ms // 1000)  # as Cassandra counts it
    assert surely_until_ms(now_ms, lease_ms) <= min(row_gone_at_s * 1000, now_ms + lease_ms)


async def test_the_folder_says_less_than_the_lease(history: History, tmp_path: Path, keep: Keep) -> None:
    before_ms = time.time_ns() // 1_000_000
    keep(NodeClaim(3, tmp_path, lambda: history, SETTINGS))
    await eventually(lambda: is_leased(tmp_path, 3, 0))
    assert is_leased(tmp_path, 3, before_ms + 58_999)
    assert not is_leased(tmp_path, 3, time.time_ns() // 1_000_000 + 59_000)


async def test_a_lease_that_was_given_up_or_lost_is_not_believed(history: History, tmp_path: Path, keep: Keep) -> None:
    claim = NodeClaim(3, tmp_path, lambda: history, SETTINGS)
    keeping = keep(claim)
    await eventually(lambda: is_leased(tmp_path, 3, 0))
    keeping.cancel()
    await claim.release()
    assert not is_leased(tmp_path, 3, 0)
    save_lease(tmp_path, 3, begin_life(tmp_path), 2**60)  # by a clock that was wrong
    await history.claim_node(3, "b", "b on its host", 2**60, 60_000)
    with pytest.raises(NodeTaken):
        await keep(NodeClaim(3, tmp_path, lambda: history, SETTINGS))
    assert not is_leased(tmp_path, 3, 0)


@pytest.mark.parametrize("text", ["", "x", "-1", "3 99"])
def test_a_spoilt_lease_is_none(tmp_path: Path, text: str) -> None:
    lease_file(tmp_path, 3).write_text(text)
    assert not is_leased(tmp_path, 3, 0)


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


def opening(tmp_path: Path) -> Callable[[], Awaitable[History]]:
    return partial(open_store, f"sqlite:{tmp_path}/comments.db")


async def test_without_a_store_it_is_the_last_one_or_any(tmp_path: Path) -> None:
    (tmp_path / "comments.db").mkdir()  # no file can be opened there
    state_dir = tmp_path / "state"
    first = await choose_node(state_dir, 60_000, opening(tmp_path))
    assert await choose_node(state_dir, 60_000, opening(tmp_path)) == first  # whose spool is there
    (state_dir / "node").write_text("77\n")
    assert await choose_node(state_dir, 60_000, opening(tmp_path)) == 77


async def test_a_lease_that_lasts_is_taken_without_asking(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    remember_node(state_dir, 9)
    save_lease(state_dir, 9, begin_life(state_dir), 2**60)
    save_lease(state_dir, 8, begin_life(state_dir), 2**60)  # of a process beside it
    assert await choose_node(state_dir, 60_000, opening(tmp_path)) == 9
    assert not (tmp_path / "comments.db").exists()


async def test_of_two_that_have_one_word_the_later_one_has_the_number_and_the_other_ends(
    history: History, tmp_path: Path, keep: Keep
) -> None:
    """As after a copy of a whole machine with its name. Started again, the first one doesn't take the number back."""
    first, second = (NodeClaim(3, tmp_path, lambda: history, SETTINGS) for _ in range(2))
    keeping = keep(first)
    await eventually(first.is_sure)
    keep(second)
    with pytest.raises(NodeTaken):
        await keeping
    assert not first.is_sure()
    with pytest.raises(StoreUnavailable, match="belongs to another process"):
        await first.wait_sure()
    await eventually(second.is_sure)
    with pytest.raises(NodeTaken):
        await keep(NodeClaim(3, tmp_path, lambda: history, SETTINGS))


SELDOM = LeaseSettings(lease_ms=60_000, renew_ms=1_000_000, retry_ms=1_000_000, wait_ms=20_000)


@pytest.fixture
def pause(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets that many ms pass in which the process stands still."""
    passed = [0]
    monkeypatch.setattr("comment_service.node.claim.boot_ms", lambda: boot_ms() + sum(passed))
    return passed.append


async def test_after_a_pause_it_is_sure_once_it_has_renewed(
    history: History, tmp_path: Path, keep: Keep, pause: Callable[[int], None]
) -> None:
    claim = NodeClaim(3, tmp_path, lambda: history, SELDOM)
    assert not claim.is_sure()
    keep(claim)
    await claim.wait_sure()
    pause(50_000)
    assert claim.is_sure()
    pause(10_000)
    assert not claim.is_sure()
    await asyncio.gather(claim.wait_sure(), claim.wait_sure())
    assert claim.is_sure()


async def test_after_a_pause_in_which_another_took_the_number_it_gives_none(
    history: History, tmp_path: Path, keep: Keep, pause: Callable[[int], None]
) -> None:
    claim = NodeClaim(3, tmp_path, lambda: history, SELDOM)
    keeping = keep(claim)
    await claim.wait_sure()
    pause(60_000)
    await history.claim_node(3, "b", "b on its host", 2**60, 60_000)
    with pytest.raises(StoreUnavailable, match="belongs to another process"):
        await claim.wait_sure()
    with pytest.raises(NodeTaken):
        await keeping


async def test_while_the_store_is_away_it_goes_on_without_a_break(
    history: History, tmp_path: Path, keep: Keep, pause: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """But a pause of its own is one: then it waits for wait_ms, in which the store may answer."""
    is_away = False

    def opened() -> History:
        if is_away:
            raise StoreUnavailable("away")
        return history

    claim = NodeClaim(3, tmp_path, opened, IMPATIENT)
    keep(claim)
    await eventually(claim.is_sure)
    is_away = True
    for _ in range(3):
        sure_ms = claim._sure_until_ms
        pause(30_000)
        await eventually(lambda sure_ms=sure_ms: claim._sure_until_ms > sure_ms)  # type: ignore[misc]
        assert claim.is_sure()
    assert "accepting without a claim" not in capsys.readouterr().out
    pause(100_000)
    assert not claim.is_sure()
    await claim.wait_sure()
    assert claim.is_sure()
    assert "accepting without a claim" in capsys.readouterr().out


async def test_a_store_that_hangs_is_one_that_is_away(
    history: History, tmp_path: Path, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(*_: object) -> str | None:
        await asyncio.Event().wait()
        return None

    claim = NodeClaim(3, tmp_path, lambda: history, LeaseSettings(3_000, 5, 5, 20_000))
    keep(claim)
    await eventually(claim.is_sure)
    monkeypatch.setattr(history, "claim_node", hang)
    sure_ms = claim._sure_until_ms + 2_000
    await eventually(lambda: claim._sure_until_ms > sure_ms)
    assert claim.is_sure()


async def test_auto_takes_no_number_of_a_process_that_lives_in_its_folder(history: History, tmp_path: Path) -> None:
    """Its word is the folder's, too."""
    node = await free_node(history, tmp_path, 60_000)
    living = Watermark(tmp_path, node).hold()
    assert await free_node(history, tmp_path, 60_000) != node
    living.release()
