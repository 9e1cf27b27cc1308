"""Intake: acknowledged means durable, and on its way to the viewers"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from comment_service.core.admission import Draft
from comment_service.core.outbox import Outbox, OutboxLimits
from comment_service.publish.encoding import publishable
from comment_service.videos.gate import GateSettings, VideoGate
from comment_service.write.idempotency import IdempotentWrites
from comment_service.write.intake import Intake
from comment_service.write.key_claims import Claiming, ClaimSettings, KeyClaims
from history.core.ids import IdSource
from history.core.model import Comment
from history.core.video import Video
from history.group_commit import GroupCommit
from history.store import History, StoreUnavailable
from tests.comment_service.parts import ANN, Published

DRAFT = Draft("demo", ANN, "hi")


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


def group(write: Callable[[Sequence[Claiming]], Awaitable[None]]) -> GroupCommit[Claiming]:
    return GroupCommit(write, batch_max=10, pending_max=10)


class Parts:
    def __init__(self, gate: VideoGate | None = None) -> None:
        self.store = Store()
        self.outbox = Outbox(0, OutboxLimits(10, 1, 100, 1_000))
        self.commit = GroupCommit(self.store.append, batch_max=10, pending_max=10)
        self.intake = Intake(
            IdSource(5),
            self.commit,
            Published(self.outbox),
            IdempotentWrites(entries_max=9, keep_ms=60_000),
            KeyClaims(history_away, Away(), ClaimSettings(keep_ms=60_000, timeout_ms=1_000, rest_ms=0), group),
            gate or VideoGate(no_video, GateSettings("accept", "accept", 1_000, 5_000, 250, 10)),
        )


class Away:
    is_away = True

    def gone(self, error: StoreUnavailable) -> None:
        """It is known."""


def history_away() -> History:
    """No Idempotency-Key can be claimed; test_key_claims.py has what happens when it can."""
    raise StoreUnavailable("away")


async def no_video(_: str) -> Video | None:
    return None


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
    assert batch.comments == (publishable(comment),)


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


async def test_a_caller_that_does_not_wait_gets_the_same() -> None:
    parts = Parts()
    outcomes: asyncio.Queue[Comment | Exception] = asyncio.Queue()
    assert parts.intake.begin(DRAFT, outcomes.put_nowait)
    assert not parts.outbox.is_empty
    parts.store.go.set()
    assert parts.store.stored == [await outcomes.get()]
    assert parts.outbox.backlog == 1
    parts.store.error = StoreUnavailable("away")
    assert parts.intake.begin(DRAFT, outcomes.put_nowait)
    assert isinstance(await outcomes.get(), StoreUnavailable)
    assert parts.outbox.backlog == 1
    await parts.commit.close()
    with pytest.raises(StoreUnavailable):
        parts.intake.begin(DRAFT, outcomes.put_nowait)
    assert outcomes.empty()
    assert parts.outbox.low_id() == parts.store.stored[0].id  # nothing else is open


async def test_a_video_that_nobody_has_looked_at_is_left_to_those_who_wait() -> None:
    parts = Parts(VideoGate(no_video, GateSettings("refuse", "accept", 1_000, 5_000, 250, 10)))
    parts.store.go.set()
    assert not parts.intake.begin(DRAFT, lambda _: None)
    assert parts.outbox.is_empty
    await parts.intake.accept(DRAFT, None)
    assert parts.intake.begin(DRAFT, lambda _: None)
    await parts.commit.close()
    assert len(parts.store.stored) == 2


async def test_an_author_who_has_gone_leaves_nothing_open() -> None:
    parts = Parts()
    accepting = asyncio.create_task(parts.intake.accept(DRAFT, None))
    await asyncio.sleep(0)
    accepting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await accepting
    assert parts.outbox.is_empty
