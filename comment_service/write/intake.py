"""The write path: an accepted draft gets its id, becomes durable, is acknowledged, and is handed to the publisher."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Protocol

import msgspec
import structlog

from comment_service.clocks import monotonic_ms, wall_ms
from comment_service.core.admission import Draft
from comment_service.core.errors import VideoEnded
from comment_service.core.retries import is_expired, may_be_published_again
from comment_service.fence import Fence
from comment_service.videos.gate import VideoGate
from comment_service.write.idempotency import Done, IdempotentWrites, Key
from comment_service.write.key_claims import KeyClaims
from history.core.ids import IdSource, format_id
from history.core.model import Comment
from history.group_commit import GroupCommit
from history.store import IdTaken, StoreUnavailable
from proto.tasks import shared

log = structlog.stdlib.get_logger()


class CommentPublisher(Protocol):
    """What the write path needs of a Publisher: `begin`, then either `put` or `abandon`"""

    def begin(self, event_id: int, video_id: str) -> int:
        """Returns the event's `after_id`."""
        ...

    def abandon(self, event_id: int, after_id: int | None = None) -> None:
        """after_id: what `begin` returned, if the event surely isn't stored"""
        ...

    def put(self, comment: Comment) -> None: ...


class _NotChecked(Exception):
    """The gate has to ask the store about the video first, or the node number's lease is over."""


TRIES = 3
"""How often a comment gets another id because its own was taken: each one is above all that this process knows of"""


class Intake:
    """Belongs to one event loop.

    The order of steps is the same for every comment: the gate is asked, the id is given and begun with the publisher,
    the comment is written, and the publisher gets it, or abandons the id if the comment wasn't stored. Nothing of that
    needs a task, except where the gate must be waited for, or another process has claimed the comment's key.
    """

    def __init__(
        self,
        ids: IdSource,
        fence: Fence,
        commit: GroupCommit[Comment],
        publisher: CommentPublisher,
        idempotent: IdempotentWrites,
        claims: KeyClaims,
        gate: VideoGate,
        *,
        comments_keep_ms: int = 0,
    ) -> None:
        """comments_keep_ms: after which the store deletes comments; 0: never."""
        self._ids = ids
        self._fence = fence
        self._commit = commit
        self._publisher = publisher
        self._idempotent = idempotent
        self._claims = claims
        self._gate = gate
        self._comments_keep_ms = comments_keep_ms
        self._completing: set[asyncio.Task[None]] = set()

    async def accept(self, draft: Draft, idempotency_key: str | None) -> Comment:
        """Returns the comment once it is durable; its publishing goes on in the background, also for a caller that has
        gone.

        Raises StoreUnavailable: then it is not published, and its author has to be told that it was not accepted.
        Raises IdempotencyKeyReused, VideoEnded, VideoUnknown.
        """
        waiter: asyncio.Future[Comment | Exception] = asyncio.get_running_loop().create_future()

        def done(outcome: Comment | Exception) -> None:
            if not waiter.done():
                waiter.set_result(outcome)

        asks_gate = True
        while True:
            with suppress(_NotChecked):
                self._begin(draft, idempotency_key, done, asks_gate=asks_gate)
                break
            await self._fence.wait_sure()
            try:
                await self._gate.check(draft.video_id)
            except VideoEnded:
                if idempotency_key is None:
                    raise
            else:
                asks_gate = False
        outcome = await waiter
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def begin(self, draft: Draft, idempotency_key: str | None, done: Done) -> bool:
        """`accept` for a caller that doesn't wait: calls `done` with what `accept` returns or raises, perhaps at once.

        False, and nothing was done, if the store has to be asked about the video or the node number first. Raises, and
        never calls `done`, if the draft is refused at once.
        """
        try:
            self._begin(draft, idempotency_key, done, asks_gate=True)
        except _NotChecked:
            return False
        return True

    def _begin(self, draft: Draft, idempotency_key: str | None, done: Done, *, asks_gate: bool) -> None:
        """A retry whose comment is known doesn't ask the gate: its video may have ended since the first try."""
        if idempotency_key is None:
            self._write(draft, asks_gate, done)
        else:
            key = Key(draft.author.id, draft.video_id, idempotency_key)
            self._idempotent.once(key, draft, partial(self._write_claimed, key, draft, asks_gate), done, monotonic_ms())

    def _write(self, draft: Draft, asks_gate: bool, done: Done) -> None:
        self._submit(TRIES, done, self._begun(draft, asks_gate))

    def _submit(self, tries: int, done: Done, comment: Comment) -> None:
        try:
            self._commit.submit(comment, partial(self._end, comment, tries, done))
        except BaseException:
            self._publisher.abandon(comment.id, comment.after_id)
            raise

    def _end(self, comment: Comment, tries: int, done: Done, error: Exception | None) -> None:
        if error is None:
            self._publisher.put(comment)
            done(comment)
        elif isinstance(error, IdTaken) and tries:
            self._again(comment, error, partial(self._submit, tries - 1, done), done)
        else:
            self._publisher.abandon(comment.id)
            done(error)

    def _again(self, comment: Comment, taken: IdTaken, submit: Callable[[Comment], None], done: Done) -> None:
        """Of the comments of that write; most of them had ids of their own."""
        if comment.id in taken.ids:
            log.error("id given twice, two processes have one node number", id=format_id(comment.id))
            self._publisher.abandon(comment.id)
            now_ms = wall_ms()  # before the fence is asked: see there
            if not self._fence.is_sure():
                done(StoreUnavailable(str(taken)))
                return
            comment_id = self._ids.next(now_ms)
            after_id = self._publisher.begin(comment_id, comment.video_id)
            comment = msgspec.structs.replace(comment, id=comment_id, after_id=after_id)
        try:
            submit(comment)
        except Exception as error:
            done(error)

    def _write_claimed(self, key: Key, draft: Draft, asks_gate: bool, done: Done) -> None:
        try:
            comment = self._begun(draft, asks_gate)
        except VideoEnded as error:  # its comment may have been accepted before the end, and the answer lost
            self._beside(self._find_accepted(key, draft, error, done))
            return
        self._submit_claimed(key, TRIES, done, comment)

    def _submit_claimed(self, key: Key, tries: int, done: Done, comment: Comment) -> None:
        try:
            self._claims.submit(key, comment, partial(self._end_claimed, key, comment, tries, done))
        except BaseException:
            self._publisher.abandon(comment.id, comment.after_id)
            raise

    def _end_claimed(self, key: Key, comment: Comment, tries: int, done: Done, outcome: Comment | Exception) -> None:
        if outcome is comment:
            self._publisher.put(comment)
            done(comment)
            return
        if isinstance(outcome, IdTaken) and tries:
            self._again(comment, outcome, partial(self._submit_claimed, key, tries - 1, done), done)
            return
        self._publisher.abandon(comment.id)
        if isinstance(outcome, Exception):
            done(outcome)
            return
        self._beside(self._complete(outcome, done))

    def _beside(self, work: Coroutine[None, None, None]) -> None:
        """work: calls `done`, whatever comes."""
        task = shared(work)
        self._completing.add(task)
        task.add_done_callback(self._completing.discard)

    async def _find_accepted(self, key: Key, draft: Draft, refusal: VideoEnded, done: Done) -> None:
        try:
            accepted = await self._claims.find(key, draft)
        except Exception as error:
            done(error)
            return
        if accepted is None:
            done(refusal)
        else:
            await self._complete(accepted, done)

    def _begun(self, draft: Draft, asks_gate: bool) -> Comment:
        """The comment, with an id that has begun"""
        if asks_gate and not self._gate.is_checked(draft.video_id):
            raise _NotChecked
        now_ms = wall_ms()
        if not self._fence.is_sure():
            raise _NotChecked
        comment_id = self._ids.next(now_ms)
        after_id = self._publisher.begin(comment_id, draft.video_id)
        return Comment(comment_id, draft.video_id, draft.author, draft.message, now_ms, after_id)

    async def _complete(self, first: Comment, done: Done) -> None:
        """The key was claimed for this comment before. Whoever did may have died before it wrote the comment, or be
        about to write it: so this process writes it, too. Or its author got an error for a write that was done all the
        same, and nobody has published it. Viewers get it once, however many processes publish it."""
        outcome: Comment | Exception = first
        try:
            if not await self._claims.is_stored(first):
                if not is_expired(first, self._comments_keep_ms, wall_ms()):
                    await self._append(first)
            elif may_be_published_again(first, wall_ms()):
                after_id = self._publisher.begin(first.id, first.video_id)
                self._publisher.put(msgspec.structs.replace(first, after_id=after_id))
        except Exception as error:
            outcome = error
        done(outcome)

    async def _append(self, first: Comment) -> None:
        after_id = self._publisher.begin(first.id, first.video_id)
        first = msgspec.structs.replace(first, after_id=after_id)
        try:
            await self._commit.append(first)
            is_stored = await self._claims.is_stored(first)  # an erased one is not
        except BaseException:
            self._publisher.abandon(first.id)
            raise
        if is_stored:
            self._publisher.put(first)
        else:
            self._publisher.abandon(first.id)
