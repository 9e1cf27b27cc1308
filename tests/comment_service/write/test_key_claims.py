"""Idempotency-Keys between processes and after a restart: at most one comment, which every retry gets"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from comment_service.core.admission import Draft
from comment_service.core.errors import IdempotencyKeyReused
from comment_service.core.outbox import Outbox, OutboxLimits
from comment_service.videos.gate import GateSettings, VideoGate
from comment_service.write.idempotency import IdempotentWrites, Key
from comment_service.write.intake import Intake
from comment_service.write.key_claims import Claiming, ClaimSettings, KeyClaims
from history.core.ids import IdSource, first_id_at
from history.core.video import Video
from history.group_commit import GroupCommit
from history.opening import open_store
from history.store import Claim, History, StoreOverloaded, StoreUnavailable
from tests.comment_service.parts import ANN, comment

DRAFT = Draft("demo", ANN, "hi")
SETTINGS = ClaimSettings(keep_ms=60_000, timeout_ms=5_000, rest_ms=60_000)


class Availability:
    """Counts how often the store was found to be away"""

    def __init__(self, is_away: bool = False) -> None:
        self.is_away = is_away
        self.reasons: list[str] = []

    def gone(self, error: StoreUnavailable) -> None:
        self.reasons.append(str(error))


def group(write: Callable[[Sequence[Claiming]], Awaitable[None]]) -> GroupCommit[Claiming]:
    return GroupCommit(write, batch_max=10, pending_max=10)


class Process:
    """The write path of one comment_service, on a history that it shares"""

    def __init__(self, node: int, history: History) -> None:
        self.outbox = Outbox(0, OutboxLimits(10, 1, 100))
        self.commit = GroupCommit(history.append, batch_max=10, pending_max=10)
        self.claims = KeyClaims(lambda: history, Availability(), SETTINGS, group)
        gate = VideoGate(self._no_video, GateSettings("accept", "accept", 1, 1, 1, 1))
        idempotent = IdempotentWrites(entries_max=9, keep_ms=60_000)
        self.intake = Intake(IdSource(node), self.commit, self.outbox, idempotent, self.claims, gate)

    async def _no_video(self, _: str) -> Video | None:
        return None


@pytest.fixture
async def history(tmp_path: Path) -> AsyncIterator[History]:
    history = await open_store(f"sqlite:{tmp_path}/comments.db")
    yield history
    await history.close()


async def test_two_processes_that_get_it_at_once_make_one_comment(history: History) -> None:
    processes = [Process(node, history) for node in range(6)]
    comments = await asyncio.gather(*(process.intake.accept(DRAFT, "key") for process in processes))
    assert len(set(comments)) == 1
    assert (await history.newer("demo", 0, 10)).comments == [comments[0]]
    assert sum(process.outbox.backlog for process in processes) >= 1


async def test_after_a_restart_the_first_comment_comes_again(history: History) -> None:
    first = await Process(0, history).intake.accept(DRAFT, "key")
    restarted = Process(0, history)
    assert await restarted.intake.accept(DRAFT, "key") == first
    assert restarted.outbox.is_empty  # nothing to publish again
    with pytest.raises(IdempotencyKeyReused):
        await restarted.intake.accept(Draft("demo", ANN, "something else"), "key")
    assert restarted.outbox.is_empty
    assert (await history.newer("demo", 0, 10)).comments == [first]


async def test_what_a_dead_process_had_claimed_is_completed(history: History) -> None:
    """Killed between the claim and the comment"""
    now_ms = time.time_ns() // 1_000_000
    claimed = msgspec.structs.replace(comment(first_id_at(now_ms)), created_at_ms=now_ms)
    await Process(0, history).claims.first(Key(ANN.id, "demo", "key"), claimed)
    survivor = Process(1, history)
    await survivor.intake.accept(DRAFT, None)
    assert await survivor.intake.accept(DRAFT, "key") == claimed
    assert claimed in (await history.newer("demo", 0, 10)).comments
    batch = survivor.outbox.next_batch(0)
    assert batch is not None
    assert claimed in batch.comments
    assert survivor.outbox.low_id() == claimed.id  # a kill now is covered


async def test_an_erased_comment_is_not_made_again(history: History) -> None:
    first = await Process(0, history).intake.accept(DRAFT, "key")
    await history.erase("demo", [first.id])
    restarted = Process(0, history)
    assert await restarted.intake.accept(DRAFT, "key") == first
    assert restarted.outbox.is_empty
    assert (await history.newer("demo", 0, 10)).comments == []


async def test_requests_without_a_key_ask_nothing(history: History) -> None:
    process = Process(0, history)
    first = await process.intake.accept(DRAFT, None)
    assert await process.intake.accept(DRAFT, None) != first
    assert await history._file.query("SELECT * FROM idempotency_keys", ()) == []  # type: ignore[attr-defined]


async def test_while_the_store_is_away_nobody_waits_twice() -> None:
    calls = 0

    def away() -> History:
        nonlocal calls
        calls += 1
        raise StoreUnavailable("away")

    store = Availability()
    claims = KeyClaims(away, store, SETTINGS, group)
    for n in range(5):
        assert await claims.first(Key("a", "demo", "key"), comment(n)) == comment(n)
    assert calls == 1
    assert store.reasons == ["away"]
    known = KeyClaims(away, Availability(is_away=True), SETTINGS, group)
    assert await known.first(Key("a", "demo", "key"), comment(9)) == comment(9)
    assert calls == 1


async def test_claims_that_come_during_one_go_together(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    claim_keys = history.claim_keys

    async def counted(claims: Sequence[Claim], now_ms: int, keep_ms: int) -> Sequence[Claim | StoreUnavailable]:
        sizes.append(len(claims))
        return await claim_keys(claims, now_ms, keep_ms)

    monkeypatch.setattr(history, "claim_keys", counted)
    process = Process(0, history)
    said = await asyncio.gather(*(process.intake.accept(DRAFT, f"key {n}") for n in range(9)))
    assert sum(sizes) == 9
    assert len(sizes) <= 2
    assert len({each.id for each in said}) == 9


async def test_more_claims_than_may_wait_are_refused_and_the_store_is_not_blamed(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = asyncio.Event()
    claim_keys = history.claim_keys

    async def late(claims: Sequence[Claim], now_ms: int, keep_ms: int) -> Sequence[Claim | StoreUnavailable]:
        await go.wait()
        return await claim_keys(claims, now_ms, keep_ms)

    monkeypatch.setattr(history, "claim_keys", late)
    store = Availability()
    claims = KeyClaims(lambda: history, store, SETTINGS, group)
    waiting = [asyncio.create_task(claims.first(Key("a", "demo", str(n)), comment(n))) for n in range(11)]
    done, rest = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    with pytest.raises(StoreOverloaded):
        done.pop().result()
    go.set()
    assert len(await asyncio.gather(*rest)) == 10
    assert store.reasons == []


async def test_waiting_long_for_a_store_that_answers_is_no_outage(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each group of ten is done within the time-out, the last one's authors wait for four times as long."""
    claim_keys = history.claim_keys

    async def slow(claims: Sequence[Claim], now_ms: int, keep_ms: int) -> Sequence[Claim | StoreUnavailable]:
        await asyncio.sleep(0.25)  # what is tested is a wait
        return await claim_keys(claims, now_ms, keep_ms)

    monkeypatch.setattr(history, "claim_keys", slow)

    def one_by_one(write: Callable[[Sequence[Claiming]], Awaitable[None]]) -> GroupCommit[Claiming]:
        return GroupCommit(write, batch_max=10, pending_max=100)

    store = Availability()
    claims = KeyClaims(lambda: history, store, ClaimSettings(60_000, 500, 60_000), one_by_one)
    await asyncio.gather(*(claims.first(Key("a", "demo", str(n)), comment(n)) for n in range(40)))
    assert store.reasons == []
    assert len(await history._file.query("SELECT * FROM idempotency_keys", ())) == 40  # type: ignore[attr-defined]


async def test_what_the_store_cannot_say_of_one_key_is_no_outage(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim_keys = history.claim_keys

    async def unsure(claims: Sequence[Claim], now_ms: int, keep_ms: int) -> Sequence[Claim | StoreUnavailable]:
        firsts = await claim_keys(claims, now_ms, keep_ms)
        return [StoreUnavailable("no LWT") if claim.key == "bad" else claim for claim in claims if claim in firsts]

    monkeypatch.setattr(history, "claim_keys", unsure)
    process = Process(0, history)
    good, bad = await asyncio.gather(
        process.intake.accept(DRAFT, "good"), process.intake.accept(DRAFT, "bad"), return_exceptions=True
    )
    assert isinstance(bad, StoreUnavailable)
    assert (await history.newer("demo", 0, 10)).comments == [good]
    assert process.outbox.backlog == 1


async def test_closing_is_no_outage(history: History) -> None:
    store = Availability()
    claims = KeyClaims(lambda: history, store, SETTINGS, group)
    await claims.close()
    assert await claims.first(Key("a", "demo", "key"), comment(1)) == comment(1)
    assert store.reasons == []


async def test_a_slow_claim_is_not_waited_for(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(claims: Sequence[Claim], now_ms: int, keep_ms: int) -> list[Claim]:
        await asyncio.Event().wait()
        return list(claims)

    monkeypatch.setattr(history, "claim_keys", hang)
    store = Availability()
    claims = KeyClaims(lambda: history, store, ClaimSettings(60_000, 10, 0), group)
    assert await claims.first(Key("a", "demo", "key"), comment(1)) == comment(1)
    assert store.reasons == ["no claim within 10 ms"]
