"""The write path: an accepted draft gets its id, becomes durable, is acknowledged, and is handed to the publisher."""

from collections.abc import Callable
from functools import partial
from typing import Protocol

from comment_service.clocks import monotonic_ms, wall_ms
from comment_service.core.admission import Draft
from comment_service.videos.gate import VideoGate
from comment_service.write.idempotency import FirstAnswers, Key
from comment_service.write.key_claims import KeyClaims
from history.core.ids import IdSource
from history.core.model import Comment
from history.group_commit import GroupCommit


class Publishing(Protocol):
    """What the write path needs of a Publisher"""

    def begin(self, comment_id: int) -> None: ...

    def forget(self, comment_id: int) -> None: ...

    def put(self, comment: Comment) -> None: ...


class Intake:
    """Belongs to one event loop."""

    def __init__(
        self,
        ids: IdSource,
        commit: GroupCommit[Comment],
        publisher: Publishing,
        first_answers: FirstAnswers,
        claims: KeyClaims,
        gate: VideoGate,
    ) -> None:
        self._ids = ids
        self._commit = commit
        self._publisher = publisher
        self._first_answers = first_answers
        self._claims = claims
        self._gate = gate

    async def accept(self, draft: Draft, idempotency_key: str | None) -> Comment:
        """Returns the comment once it is durable; its publishing goes on behind.

        Raises StoreUnavailable: then it is not published, and its author is told that it was not accepted.
        Raises IdempotencyKeyReused, VideoEnded, VideoUnknown.
        """
        if idempotency_key is None:
            return await self._write(draft, None)
        key = Key(draft.author.id, draft.video_id, idempotency_key)
        write = partial(self._write, draft, key)
        return await self._first_answers.once(key, draft, write, monotonic_ms())

    def begin(self, draft: Draft, answered: Callable[[Comment | Exception], None]) -> bool:
        """`accept` of a draft without a key, for whoever doesn't wait: `answered` gets what `accept` returns or raises.

        False: nothing was done, for the store has to be asked first whether the video takes comments. Raises what can
        be said at once.
        """
        if not self._gate.is_checked(draft.video_id):
            return False
        comment = self._comment(draft)
        self._publisher.begin(comment.id)
        try:
            self._commit.submit(comment, partial(self._end, comment, answered))
        except BaseException:
            self._publisher.forget(comment.id)
            raise
        return True

    def _end(
        self, comment: Comment, answered: Callable[[Comment | Exception], None], outcome: Exception | None
    ) -> None:
        if outcome is None:
            self._publisher.put(comment)
            answered(comment)
        else:
            self._publisher.forget(comment.id)
            answered(outcome)

    def _comment(self, draft: Draft) -> Comment:
        now_ms = wall_ms()
        return Comment(self._ids.next(now_ms), draft.video_id, draft.author, draft.message, now_ms)

    async def _write(self, draft: Draft, key: Key | None) -> Comment:
        await self._gate.check(draft.video_id)
        comment = self._comment(draft)
        self._publisher.begin(comment.id)
        try:
            first = comment if key is None else await self._claims.first(key, comment)
            if first.id == comment.id:
                await self._commit.append(comment)
        except BaseException:
            self._publisher.forget(comment.id)
            raise
        if first.id != comment.id:
            self._publisher.forget(comment.id)
            await self._complete(first)
            return first
        self._publisher.put(comment)
        return comment

    async def _complete(self, first: Comment) -> None:
        """Another process claimed the key for that comment. It may have died before it wrote it, or may be about to:
        writing it a second time does no harm, and whoever publishes it, viewers get it once."""
        if await self._claims.is_stored(first):
            return
        self._publisher.begin(first.id)
        try:
            await self._commit.append(first)
            was_taken = await self._claims.is_stored(first)  # an erased one is not
        except BaseException:
            self._publisher.forget(first.id)
            raise
        if was_taken:
            self._publisher.put(first)
        else:
            self._publisher.forget(first.id)
