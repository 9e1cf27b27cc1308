"""The write path: an accepted draft gets its id, becomes durable, is acknowledged, and is handed to the publisher."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

from comment_service.clocks import monotonic_ms, wall_ms
from comment_service.core.admission import Draft
from comment_service.videos.gate import VideoGate
from comment_service.write.idempotency import IdempotentWrites, Key
from comment_service.write.key_claims import KeyClaims
from history.core.ids import IdSource
from history.core.model import Comment
from history.group_commit import GroupCommit


class CommentPublisher(Protocol):
    """What the write path needs of a Publisher: `begin`, then either `put` or `abandon`"""

    def begin(self, comment_id: int) -> None: ...

    def abandon(self, comment_id: int) -> None: ...

    def put(self, comment: Comment) -> None: ...


class Intake:
    """Belongs to one event loop.

    The order of steps is the same for every comment: the gate is asked, the id is given and begun with the publisher,
    the comment is written, and the publisher gets it, or abandons the id if the comment wasn't stored.
    """

    def __init__(
        self,
        ids: IdSource,
        commit: GroupCommit[Comment],
        publisher: CommentPublisher,
        idempotent: IdempotentWrites,
        claims: KeyClaims,
        gate: VideoGate,
    ) -> None:
        self._ids = ids
        self._commit = commit
        self._publisher = publisher
        self._idempotent = idempotent
        self._claims = claims
        self._gate = gate

    async def accept(self, draft: Draft, idempotency_key: str | None) -> Comment:
        """Returns the comment once it is durable; its publishing goes on in the background.

        Raises StoreUnavailable: then it is not published, and its author has to be told that it was not accepted.
        Raises IdempotencyKeyReused, VideoEnded, VideoUnknown.
        """
        if idempotency_key is None:
            return await self._write(draft, None)
        key = Key(draft.author.id, draft.video_id, idempotency_key)
        return await self._idempotent.once(key, draft, partial(self._write, draft, key), monotonic_ms())

    def begin(self, draft: Draft, done: Callable[[Comment | Exception], None]) -> bool:
        """`accept` of a draft without a key, for a caller that doesn't wait: calls `done` with what `accept` returns or
        raises.

        False, and nothing was done, if the gate has to ask the store about the video first. Raises, and never calls
        `done`, if the draft is refused at once.
        """
        if not self._gate.is_checked(draft.video_id):
            return False
        comment = self._comment(draft)
        self._publisher.begin(comment.id)
        try:
            self._commit.submit(comment, partial(self._end, comment, done))
        except BaseException:
            self._publisher.abandon(comment.id)
            raise
        return True

    def _end(self, comment: Comment, done: Callable[[Comment | Exception], None], outcome: Exception | None) -> None:
        if outcome is None:
            self._publisher.put(comment)
            done(comment)
        else:
            self._publisher.abandon(comment.id)
            done(outcome)

    def _comment(self, draft: Draft) -> Comment:
        now_ms = wall_ms()
        return Comment(self._ids.next(now_ms), draft.video_id, draft.author, draft.message, now_ms)

    async def _write(self, draft: Draft, key: Key | None) -> Comment:
        await self._gate.check(draft.video_id)
        comment = first = self._comment(draft)

        async def claim_and_append() -> bool:
            nonlocal first
            if key is not None:
                first = await self._claims.first(key, comment)
            if first.id != comment.id:
                return False
            await self._commit.append(comment)
            return True

        if await self._publish_if(comment, claim_and_append):
            return comment
        await self._complete(first)
        return first

    async def _complete(self, first: Comment) -> None:
        """Another process has claimed the key for this comment. It may have died before it wrote the comment, or be
        about to write it: so this process writes it, too. Viewers get it once, whichever process publishes it."""
        if await self._claims.is_stored(first):
            return

        async def append() -> bool:
            await self._commit.append(first)
            return await self._claims.is_stored(first)  # an erased one is not

        await self._publish_if(first, append)

    async def _publish_if(self, comment: Comment, is_written: Callable[[], Awaitable[bool]]) -> bool:
        """Publishes the comment if `is_written` returns True. Returns that, raises what it raises."""
        self._publisher.begin(comment.id)
        try:
            written = await is_written()
        except BaseException:
            self._publisher.abandon(comment.id)
            raise
        if written:
            self._publisher.put(comment)
        else:
            self._publisher.abandon(comment.id)
        return written
