"""Takes back a comment that was accepted into the spool, because its Idempotency-Key stands for another one.

While the store is away, two processes may accept one author's comment, each with an id of its own, and both are
published. Once the store decides which of them the key stands for, the process that accepted the other one erases it,
as an operator's order would: durably, on all pages, and by an event on the viewers' screens. The event and the key lead
to the comment that stands.

A spooled comment whose id something else has (two processes had one node number) gets another id, once however often
that is begun: a claim of its key holds the id, or of a key of its own if it came without one.
"""

from collections.abc import Callable
from typing import Protocol

import structlog
from msgspec.structs import replace

from comment_service.clocks import wall_ms
from comment_service.core.retries import is_expired, may_be_published_again
from comment_service.fence import Fence, sure_ms
from comment_service.moderate.moderator import Changing
from comment_service.write.idempotency import IdempotentWrites, Key
from history.core.ids import IdSource, format_id
from history.core.model import ERASED, Comment, State, withdrawn_json
from history.core.spool_format import SpooledKey
from history.spool.draining import Lost, Taken
from history.store import Claim, History, StoreUnavailable

log = structlog.stdlib.get_logger()


OWN_KEY = "\t"
"""Begins the key of a comment that came without one: no client's key has it"""


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
        ids: IdSource,
        fence: Fence,
        changing: Changing,
        publisher: CommentPublisher,
        idempotent: IdempotentWrites,
        *,
        comments_keep_ms: int,
        keys_keep_ms: int,
    ) -> None:
        """history: the open store; raises StoreUnavailable until there is one. comments_keep_ms: 0: for ever."""
        self._history = history
        self._ids = ids
        self._fence = fence
        self._keys_keep_ms = keys_keep_ms
        self._changing = changing
        self._publisher = publisher
        self._idempotent = idempotent
        self._comments_keep_ms = comments_keep_ms

    async def withdraw(self, lost: Lost) -> None:
        """`history.spool.draining.Withdraw`. Whoever claimed the key may have died before it wrote its comment, so that
        one is made sure of first: at no time is none of the two there."""
        comment, standing = lost.comment, lost.standing
        stands = replace(comment, id=standing.comment_id, created_at_ms=standing.created_at_ms, after_id=0)
        found = await self._history().find(comment.video_id, comment.id)
        if found is not None and found.state is State.ERASED and not found.stands_id:
            # An operator's order came with this id before: it is about the one that stands.
            await self._erase(stands, b"")
        elif not is_expired(stands, self._comments_keep_ms, wall_ms()):
            await self._make_sure_of(stands)
        await self._erase(comment, withdrawn_json(comment.id, stands.id))
        self._idempotent.stands_for(Key(comment.author.id, comment.video_id, lost.key), stands)

    async def _erase(self, comment: Comment, data: bytes) -> None:
        change = await self._changing.new(ERASED, comment.video_id, target_id=comment.id, data=data)
        await self._changing.apply(change)

    async def renumber(self, taken: Taken) -> None:
        """`history.spool.draining.Withdraw`. What viewers got under the old id stays on their screens until they come
        anew: that id is another comment's."""
        comment = taken.comment
        own = SpooledKey(f"{OWN_KEY}{format_id(comment.id)}", b"")
        standing = None if taken.key is None else await self._stored_anew(comment, taken.key)
        if standing is None or standing.comment_id == comment.id:  # its own key may have been claimed for the taken id
            standing = await self._stored_anew(comment, own)
        stands = replace(comment, id=standing.comment_id, created_at_ms=standing.created_at_ms, after_id=0)
        await self._make_sure_of(stands)
        log.error("id given twice, a spooled comment gets another", id=format_id(comment.id), now=format_id(stands.id))
        if taken.key is not None:
            self._idempotent.stands_for(Key(comment.author.id, comment.video_id, taken.key.key), stands)

    async def _stored_anew(self, comment: Comment, key: SpooledKey) -> Claim:
        """The claim of that key that holds, perhaps for another comment"""
        new_id = self._ids.next(await sure_ms(self._fence))
        anew = replace(comment, id=new_id, after_id=self._publisher.begin(new_id, comment.video_id))
        claim = Claim(comment.author.id, comment.video_id, key.key, new_id, comment.created_at_ms, key.digest)
        try:
            (outcome,) = await self._history().append_claimed([(anew, claim)], wall_ms(), self._keys_keep_ms)
        finally:
            self._publisher.abandon(new_id)  # `_make_sure_of` publishes what stands
        if isinstance(outcome, StoreUnavailable):
            raise outcome
        return outcome

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
