"""Idempotency-Keys between processes and after a restart: at most one comment, which every retry gets"""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from comment_service.clocks import wall_ms
from comment_service.core.admission import Draft
from comment_service.core.errors import IdempotencyKeyReused, VideoEnded
from comment_service.core.outbox import Outbox, OutboxLimits
from comment_service.videos.gate import GateSettings, Verdict, VideoGate
from comment_service.write.idempotency import IdempotentWrites, Key
from comment_service.write.intake import Intake
from comment_service.write.key_claims import Claiming, KeyClaims
from history.core.ids import IdSource, first_id_at
from history.core.model import Comment
from history.core.video import Video
from history.group_commit import GroupCommit
from history.opening import open_store
from history.store import Claimed, History, Outcome, StoreOverloaded, StoreUnavailable
from tests.comment_service.parts import ANN, OwnNumber, Published, comment
from tests.waiting import eventually

DRAFT = Draft("demo", ANN, "hi")


def group(write: Callable[[Sequence[Claiming]], Awaitable[None]]) -> GroupCommit[Claiming]:
    return GroupCommit(write, batch_max=10, pending_max=10)


class Process:
    """The write path of one comment_service, on a history that it shares"""

    def __init__(self, node: int, history: History, ended: Verdict = "accept", comments_keep_ms: int = 0) -> None:
        self.outbox = Outbox(0, OutboxLimits(10, 1 << 20, 1, 100, 1 << 20, 1_000))
        self.commit = GroupCommit(history.append, batch_max=10, pending_max=10)
        self.durable = 0
        self.claims = KeyClaims(history, lambda: history, 60_000, group, self._count)
        gate = VideoGate(lambda: history, GateSettings(ended, "accept", 1_000, 30_000, 250, 1))
        idempotent = IdempotentWrites(entries_max=9, keep_ms=60_000)
        self.intake = Intake(
            *(IdSource(node), OwnNumber(), self.commit, Published(self.outbox), idempotent, self.claims, gate),
            comments_keep_ms=comments_keep_ms,
        )

    def _count(self, count: int, ms: float) -> None:
        self.durable += count


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
    assert sum(process.durable for process in processes) == 1


async def test_after_a_restart_the_first_comment_comes_again(history: History) -> None:
    first = await Process(0, history).intake.accept(DRAFT, "key")
    restarted = Process(0, history)
    assert await restarted.intake.accept(DRAFT, "key") == first
    assert restarted.outbox.backlog == 1  # as nobody knows here whether it was published
    with pytest.raises(IdempotencyKeyReused):
        await restarted.intake.accept(Draft("demo", ANN, "something else"), "key")
    assert restarted.outbox.backlog == 1
    with pytest.raises(IdempotencyKeyReused):  # also by the store, not only from memory
        await Process(1, history).intake.accept(Draft("demo", ANN, "something else"), "key")
    assert (await history.newer("demo", 0, 10)).comments == [first]


async def test_what_a_dead_process_had_claimed_is_completed(history: History) -> None:
    """Killed between the claim and the comment"""
    now_ms = time.time_ns() // 1_000_000
    claimed = msgspec.structs.replace(comment(first_id_at(now_ms)), created_at_ms=now_ms)
    await claim_and_die(history, claimed)
    survivor = Process(1, history)
    await survivor.intake.accept(DRAFT, None)
    assert await survivor.intake.accept(DRAFT, "key") == claimed
    assert claimed in (await history.newer("demo", 0, 10)).comments
    batch = survivor.outbox.next_batch(0)
    assert batch is not None
    assert claimed.id in [each.id for each in batch.events]
    assert survivor.outbox.low_id() == claimed.id  # a kill now is covered


async def claim_and_die(history: History, comment: Comment) -> None:
    """In SQLite nobody dies between the claim and the comment, so the comment is taken away again."""
    heard: asyncio.Queue[Comment | Exception] = asyncio.Queue()
    Process(0, history).claims.submit(Key(ANN.id, "demo", "key"), comment, heard.put_nowait)
    assert await heard.get() == comment
    await history._file.write(lambda file: file.execute("DELETE FROM comments").rowcount)  # type: ignore[attr-defined]


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


async def test_claims_that_come_during_one_go_together(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    append_claimed = history.append_claimed

    async def counted(items: Sequence[Claimed], now_ms: int, keep_ms: int) -> Sequence[Outcome]:
        sizes.append(len(items))
        return await append_claimed(items, now_ms, keep_ms)

    monkeypatch.setattr(history, "append_claimed", counted)
    process = Process(0, history)
    said = await asyncio.gather(*(process.intake.accept(DRAFT, f"key {n}") for n in range(9)))
    assert sum(sizes) == 9
    assert len(sizes) <= 2
    assert len({each.id for each in said}) == 9
    assert process.claims.statistics().items == process.durable == 9


async def test_more_claims_than_may_wait_are_refused(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    go = asyncio.Event()
    append_claimed = history.append_claimed

    async def late(items: Sequence[Claimed], now_ms: int, keep_ms: int) -> Sequence[Outcome]:
        await go.wait()
        return await append_claimed(items, now_ms, keep_ms)

    monkeypatch.setattr(history, "append_claimed", late)
    process = Process(0, history)
    waiting = [asyncio.create_task(process.intake.accept(DRAFT, str(n))) for n in range(11)]
    done, rest = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    with pytest.raises(StoreOverloaded):
        done.pop().result()
    go.set()
    assert len(await asyncio.gather(*rest)) == 10
    assert process.outbox.backlog == 10


async def test_what_the_store_cannot_say_of_one_key_is_its_own_authors_error(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    append_claimed = history.append_claimed

    async def unsure(items: Sequence[Claimed], now_ms: int, keep_ms: int) -> Sequence[Outcome]:
        firsts = await append_claimed([item for item in items if item[1].key != "bad"], now_ms, keep_ms)
        others = iter(firsts)
        return [StoreUnavailable("no LWT") if claim.key == "bad" else next(others) for _, claim in items]

    monkeypatch.setattr(history, "append_claimed", unsure)
    process = Process(0, history)
    good, bad = await asyncio.gather(
        process.intake.accept(DRAFT, "good"), process.intake.accept(DRAFT, "bad"), return_exceptions=True
    )
    assert isinstance(bad, StoreUnavailable)
    assert (await history.newer("demo", 0, 10)).comments == [good]
    assert process.outbox.backlog == 1


@pytest.mark.parametrize("node", [0, 1])
async def test_what_was_stored_though_its_author_got_an_error_is_published_with_the_retry(
    history: History, monkeypatch: pytest.MonkeyPatch, node: int
) -> None:
    """As after a write that timed out, without a spool, or an LWT that did. The retry reaches the same process, or
    another one."""
    append_claimed = history.append_claimed

    async def in_vain(items: Sequence[Claimed], now_ms: int, keep_ms: int) -> Sequence[Outcome]:
        await append_claimed(items, now_ms, keep_ms)
        raise StoreUnavailable("cut off by the test")

    processes = [Process(each, history) for each in range(2)]
    with monkeypatch.context() as cut:
        cut.setattr(history, "append_claimed", in_vain)
        with pytest.raises(StoreUnavailable):
            await processes[0].intake.accept(DRAFT, "key")
    assert processes[0].outbox.is_empty
    first = await processes[node].intake.accept(DRAFT, "key")
    batch = processes[node].outbox.next_batch(0)
    assert batch is not None
    assert [each.id for each in batch.events] == [first.id]
    processes[node].outbox.answered(batch.seq)
    assert processes[node].outbox.is_empty


async def test_an_old_comment_is_not_published_again(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    await Process(0, history).intake.accept(DRAFT, "key")
    monkeypatch.setattr("comment_service.core.retries.AGAIN_MS", -1_000)
    restarted = Process(0, history)
    await restarted.intake.accept(DRAFT, "key")
    assert restarted.outbox.is_empty


async def test_what_can_not_be_completed_is_an_error_and_tried_again(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_ms = time.time_ns() // 1_000_000
    claimed = msgspec.structs.replace(comment(first_id_at(now_ms)), created_at_ms=now_ms)
    await claim_and_die(history, claimed)

    async def away(comments: Sequence[Comment]) -> None:
        raise StoreUnavailable("cut off by the test")

    survivor = Process(1, history)
    with monkeypatch.context() as cut:
        cut.setattr(survivor.commit, "_append", away)
        with pytest.raises(StoreUnavailable):
            await survivor.intake.accept(DRAFT, "key")
    assert survivor.outbox.is_empty
    assert await survivor.intake.accept(DRAFT, "key") == claimed
    assert survivor.outbox.backlog == 1


async def test_a_retry_after_the_videos_end_gets_its_comment(history: History) -> None:
    """Whatever process it reaches, whether that knows of the end already or not"""
    await history.add_video(Video("demo", "t", ANN, created_at_ms=1, started_at_ms=2))
    first = await Process(0, history, ended="refuse").intake.accept(DRAFT, "key")
    live = await history.video("demo")
    assert live is not None
    assert await history.change_video(live, dataclasses.replace(live, ended_at_ms=3))
    restarted = Process(0, history, ended="refuse")
    for _ in range(2):
        assert await restarted.intake.accept(DRAFT, "key") == first
        with pytest.raises(VideoEnded):
            await restarted.intake.accept(DRAFT, "another key")
        with pytest.raises(VideoEnded):
            await restarted.intake.accept(DRAFT, None)
        with pytest.raises(IdempotencyKeyReused):
            await restarted.intake.accept(Draft("demo", ANN, "something else"), "key")
    assert (await history.newer("demo", 0, 10)).comments == [first]
    assert restarted.outbox.backlog == 1


async def test_a_retry_does_not_store_an_expired_comment_again(history: History) -> None:
    first = await Process(0, history).intake.accept(DRAFT, "key")
    await history._file.write(lambda file: file.execute("DELETE FROM comments").rowcount)  # type: ignore[attr-defined]
    await eventually(lambda: wall_ms() > first.created_at_ms)
    later = Process(1, history, comments_keep_ms=1)
    assert await later.intake.accept(DRAFT, "key") == first
    assert (await history.newer("demo", 0, 10)).comments == []
    assert later.outbox.is_empty
    younger = Process(2, history, comments_keep_ms=86_400_000)
    assert await younger.intake.accept(DRAFT, "key") == first
    assert [each.id for each in (await history.newer("demo", 0, 10)).comments] == [first.id]


async def test_what_nobody_published_is_published_with_a_late_retry(history: History) -> None:
    """Its process stored it and died for good; the client is back after minutes."""
    made_ms = wall_ms() - 300_000
    first = msgspec.structs.replace(comment(first_id_at(made_ms)), created_at_ms=made_ms)
    heard: asyncio.Queue[Comment | Exception] = asyncio.Queue()
    Process(0, history).claims.submit(Key(ANN.id, "demo", "key"), first, heard.put_nowait)
    assert await heard.get() == first
    process = Process(1, history)
    assert await process.intake.accept(DRAFT, "key") == first
    batch = process.outbox.next_batch(0)
    assert batch is not None
    assert [each.id for each in batch.events] == [first.id]
