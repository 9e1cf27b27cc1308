"""Intake: acknowledged means durable, and on its way to the viewers"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from comment_service.core.admission import Draft
from comment_service.core.errors import VideoEnded
from comment_service.core.outbox import Outbox, OutboxLimits
from comment_service.publish.encoding import publishable
from comment_service.videos.gate import GateSettings, VideoGate
from comment_service.write.idempotency import IdempotentWrites
from comment_service.write.intake import Intake
from comment_service.write.key_claims import Claiming, KeyClaims
from history.core.ids import IdSource, time_of
from history.core.model import Comment, Comments
from history.core.video import Video
from history.group_commit import GroupCommit
from history.store import Claim, Claimed, IdTaken, Outcome, StoreOverloaded, StoreUnavailable, Videos
from tests.comment_service.parts import ANN, OwnNumber, Published
from tests.waiting import eventually

DRAFT = Draft("demo", ANN, "hi")
FIRST_ID = 5 << 6  # of service 5


class Store:
    """Writes when the test lets it, or fails."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.error: Exception | None = None
        self.stored: list[Comment] = []

    async def append(self, comments: Sequence[Comment]) -> None:
        await self.go.wait()
        if self.error is not None:
            raise self.error
        self.stored += comments

    async def append_claimed(self, items: Sequence[Claimed], now_ms: int, keep_ms: int) -> Sequence[Outcome]:
        """As while the store is away: test_key_claims.py has what happens when somebody else has the claim."""
        await self.append([comment for comment, _ in items])
        return [claim for _, claim in items]

    async def claim_of(self, author_id: str, video_id: str, key: str) -> Claim | None:
        return None

    async def older(self, video_id: str, before: int | None, limit: int) -> Comments:
        raise NotImplementedError

    async def newer(self, video_id: str, after: int, limit: int) -> Comments:
        raise NotImplementedError

    async def check(self) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


def group(write: Callable[[Sequence[Claiming]], Awaitable[None]]) -> GroupCommit[Claiming]:
    return GroupCommit(write, batch_max=10, pending_max=10)


class Parts:
    def __init__(self, gate: VideoGate | None = None, store: Store | None = None) -> None:
        self.store = store or Store()
        self.fence = OwnNumber()
        self.outbox = Outbox(FIRST_ID, OutboxLimits(10, 1 << 20, 1, 100, 1 << 20, 1_000))
        self.commit = GroupCommit(self.store.append, batch_max=10, pending_max=10)
        self.claims = KeyClaims(self.store, lambda: self.store, 60_000, group, lambda count, ms: None)
        # The outbox has the publisher's three methods; a stream is not needed here.
        self.intake = Intake(
            IdSource(5),
            self.fence,
            self.commit,
            Published(self.outbox),
            IdempotentWrites(entries_max=9, keep_ms=60_000),
            self.claims,
            gate or VideoGate(no_history, GateSettings("accept", "accept", 1_000, 30_000, 250, 10)),
        )


def no_history() -> Videos:
    raise StoreUnavailable("away")


async def test_a_comment_is_acknowledged_once_it_is_durable_and_then_published() -> None:
    parts = Parts()
    accepting = asyncio.create_task(parts.intake.accept(DRAFT, None))
    await asyncio.sleep(0)
    assert not parts.outbox.is_empty  # a kill now would find its id in the watermark
    assert parts.outbox.backlog == 0
    parts.store.go.set()
    comment = await accepting
    assert parts.store.stored == [comment]
    assert (comment.video_id, comment.author, comment.message) == ("demo", ANN, "hi")
    batch = parts.outbox.next_batch(0)
    assert batch is not None
    assert batch.events == (publishable(comment),)


@pytest.mark.parametrize("key", [None, "key"])
async def test_what_an_overloaded_service_refuses_sends_no_node_to_history(key: str | None) -> None:
    parts = Parts()
    keys = [key and f"{key}{number}" for number in range(13)]
    waiting = [asyncio.create_task(parts.intake.accept(DRAFT, each)) for each in keys[:10]]
    await asyncio.sleep(0)
    for each in keys[10:12]:
        with pytest.raises(StoreOverloaded):
            await parts.intake.accept(DRAFT, each)
    parts.store.go.set()
    comments = await asyncio.gather(*waiting)
    comments.append(await parts.intake.accept(DRAFT, keys[12]))
    assert [each.after_id for each in comments] == [FIRST_ID, *(each.id for each in comments[:-1])]


async def test_what_could_not_be_stored_is_not_published() -> None:
    parts = Parts()
    parts.store.go.set()
    parts.store.error = StoreUnavailable("away")
    with pytest.raises(StoreUnavailable):
        await parts.intake.accept(DRAFT, "key")
    assert parts.outbox.is_empty
    parts.store.error = None
    comment = await parts.intake.accept(DRAFT, "key")
    assert parts.store.stored == [comment]


async def test_a_retry_is_not_written_again() -> None:
    parts = Parts()
    parts.store.go.set()
    first = await parts.intake.accept(DRAFT, "key")
    assert await parts.intake.accept(DRAFT, "key") == first
    assert await parts.intake.accept(DRAFT, None) != first
    assert len(parts.store.stored) == 2
    assert parts.outbox.backlog == 2


@pytest.mark.parametrize("with_key", [False, True])
async def test_a_caller_that_does_not_wait_gets_the_same(with_key: bool) -> None:
    parts = Parts()
    outcomes: asyncio.Queue[Comment | Exception] = asyncio.Queue()
    keys = iter("abc" if with_key else [None] * 3)
    tasks = asyncio.all_tasks()
    assert parts.intake.begin(DRAFT, next(keys), outcomes.put_nowait)
    assert len(asyncio.all_tasks() - tasks) == 1  # the write of them all
    assert not parts.outbox.is_empty
    parts.store.go.set()
    assert parts.store.stored == [await outcomes.get()]
    assert parts.outbox.backlog == 1
    parts.store.error = StoreUnavailable("away")
    assert parts.intake.begin(DRAFT, next(keys), outcomes.put_nowait)
    assert isinstance(await outcomes.get(), StoreUnavailable)
    assert parts.outbox.backlog == 1
    await parts.commit.close()
    await parts.claims.close()
    with pytest.raises(StoreUnavailable):
        parts.intake.begin(DRAFT, next(keys), outcomes.put_nowait)
    assert outcomes.empty()
    assert parts.outbox.low_id() == parts.store.stored[0].id  # nothing else is open


@pytest.mark.parametrize("key", [None, "key"])
async def test_a_video_that_nobody_has_looked_at_is_left_to_those_who_wait(key: str | None) -> None:
    parts = Parts(VideoGate(no_history, GateSettings("refuse", "accept", 1_000, 30_000, 250, 10)))
    parts.store.go.set()
    assert not parts.intake.begin(DRAFT, key, lambda _: None)
    assert parts.outbox.is_empty
    await parts.intake.accept(DRAFT, None)
    assert parts.intake.begin(DRAFT, key, lambda _: None)
    await parts.commit.close()
    await parts.claims.close()
    assert len(parts.store.stored) == 2


@pytest.mark.parametrize("key", [None, "key"])
async def test_what_an_author_who_has_gone_said_is_published_if_it_is_stored(key: str | None) -> None:
    parts = Parts()
    accepting = asyncio.create_task(parts.intake.accept(DRAFT, key))
    await asyncio.sleep(0)
    accepting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await accepting
    parts.store.go.set()
    await eventually(lambda: parts.outbox.backlog == 1)
    assert len(parts.store.stored) == 1


async def test_a_retry_gets_its_comment_also_when_its_video_has_ended() -> None:
    gate = VideoGate(no_history, GateSettings("refuse", "accept", 1_000, 30_000, 250, 10))
    gate.learn(Video("demo", "A talk", None, 1, 2))
    parts = Parts(gate)
    parts.store.go.set()
    first = await parts.intake.accept(DRAFT, "key")
    gate.learn(Video("demo", "A talk", None, 1, 2, 3))
    assert await parts.intake.accept(DRAFT, "key") == first
    with pytest.raises(VideoEnded):
        await parts.intake.accept(DRAFT, "another")


@pytest.mark.parametrize("key", [None, "key"])
async def test_a_process_that_is_not_sure_of_its_number_gives_no_id(key: str | None) -> None:
    """As after a pause of the machine"""
    parts = Parts()
    parts.store.go.set()
    parts.fence.sure.clear()
    accepting = asyncio.create_task(parts.intake.accept(DRAFT, key))
    await parts.fence.asked.wait()
    await asyncio.sleep(0)
    assert (parts.outbox.is_empty, parts.store.stored) == (True, [])
    parts.fence.sure.set()
    assert parts.store.stored == [await accepting]


class DoubleIds(Store):
    """Something else stands under the ids that it gets first."""

    def __init__(self, refusals: int) -> None:
        super().__init__()
        self.go.set()
        self.refusals = refusals

    async def append(self, comments: Sequence[Comment]) -> None:
        if self.refusals:
            self.refusals -= 1
            raise IdTaken([comments[0].id])
        await super().append(comments)


@pytest.mark.parametrize("key", [None, "key"])
async def test_a_comment_whose_id_is_anothers_gets_a_new_one(
    key: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = Parts(store=DoubleIds(refusals=1))
    keys = [None, None] if key is None else ["key-1", "key-2"]
    first, second = await asyncio.gather(*(parts.intake.accept(DRAFT, each) for each in keys))
    assert parts.store.stored == [first, second]
    assert first.id > second.id  # whose own id was free
    assert "id given twice" in capsys.readouterr().out
    batch = parts.outbox.next_batch(0)
    assert batch is not None
    assert sorted(each.id for each in batch.events) == [second.id, first.id]
    assert parts.outbox.low_id() <= second.id


@pytest.mark.parametrize("key", [None, "key"])
async def test_a_comment_for_which_no_id_is_free_is_refused(key: str | None) -> None:
    parts = Parts(store=DoubleIds(refusals=100))
    with pytest.raises(IdTaken):
        await parts.intake.accept(DRAFT, key)
    assert parts.outbox.backlog == 0


async def test_who_has_lost_its_number_meanwhile_takes_no_other_id() -> None:
    parts = Parts(store=DoubleIds(refusals=1))
    accepting = asyncio.create_task(parts.intake.accept(DRAFT, None))
    await asyncio.sleep(0)
    parts.fence.sure.clear()
    with pytest.raises(StoreUnavailable, match="something else stands"):
        await accepting
    assert parts.store.stored == []


async def test_another_id_is_of_a_time_at_which_the_number_was_surely_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the process stands still behind the question"""
    parts, clock_ms = Parts(store=DoubleIds(refusals=1)), [1_700_000_000_000]
    monkeypatch.setattr("comment_service.write.intake.wall_ms", lambda: clock_ms[0])

    def is_sure_and_pauses() -> bool:
        clock_ms[0] += 60_000
        return True

    monkeypatch.setattr(parts.fence, "is_sure", is_sure_and_pauses)
    comment = await parts.intake.accept(DRAFT, None)
    assert time_of(comment.id) == 1_700_000_060_000
