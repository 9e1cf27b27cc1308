"""Takes back a comment that was accepted into the spool, because its Idempotency-Key stands for another one.

While the store is away, two processes may accept one author's comment, each with an id of its own, and both are
published. Once the store decides which of them the key stands for, the process that accepted the other one erases it,
as an operator's order would: durably, on all pages, and by an event on the viewers' screens. The event and the key lead
to the comment that stands.
"""

from collections.abc import Callable
from typing import Protocol

from msgspec.structs import replace

from comment_service.clocks import wall_ms
from comment_service.core.retries import is_expired, may_be_published_again
from comment_service.moderate.moderator import Changing
from comment_service.write.idempotency import IdempotentWrites, Key
from history.core.model import ERASED, Comment, State, withdrawn_json
from history.spool.draining import Lost
from history.store import History


class CommentPublisher(Protocol):
    """What withdrawing needs of a Publisher"""

    def begin(self, event_id: int, video_id: str) -> int: ...

    def abandon(self, event_id: int) -> None: ...

    def put(self, event: Comment) -> None: ...


class Withdrawing:
    """Belongs to one event loop."""

    def __init__(
        self,
        history: Callable[[], History],
        changing: Changing,
        publisher: CommentPublisher,
        idempotent: IdempotentWrites,
        *,
        comments_keep_ms: int,
    ) -> None:
        """history: the open store; raises StoreUnavailable until there is one. comments_keep_ms: 0: for ever."""
        self._history = history
        self._changing = changing
        self._publisher = publisher
        self._idempotent = idempotent
        self._comments_keep_ms = comments_keep_ms

    async def withdraw(self, lost: Lost) -> None:
        """`history.spool.draining.Withdraw`. Whoever claimed the key may have died before it wrote its comment, so that
        one is made sure of first: at no time is none of the two there."""
        comment, standing = lost.comment, lost.standing
        stands = replace(comment, id=standing.comment_id, created_at_ms=standing.created_at_ms, after_id=0)
        if not is_expired(stands, self._comments_keep_ms, wall_ms()):
            await self._make_sure_of(stands)
        data = withdrawn_json(comment.id, stands.id)
        change = await self._changing.new(ERASED, comment.video_id, target_id=comment.id, data=data)
        await self._changing.apply(change)
        self._idempotent.stands_for(Key(comment.author.id, comment.video_id, lost.key), stands)

    async def _make_sure_of(self, stands: Comment) -> None:
        history = self._history()
        found = await history.find(stands.video_id, stands.id)
        if found is not None and not (found.state is State.VISIBLE and may_be_published_again(stands, wall_ms())):
            return
        stands = replace(stands, after_id=self._publisher.begin(stands.id, stands.video_id))
        try:
            if found is None:
                await history.append([stands])
                found = await history.find(stands.video_id, stands.id)
        except BaseException:
            self._publisher.abandon(stands.id)
            raise
        if found is not None and found.state is State.VISIBLE:
            self._publisher.put(stands)
        else:  # his author was purged meanwhile
            self._publisher.abandon(stands.id)
