"""Hides, restores and erases comments on an operator's order: in the store, in this node's copies, on the viewers'
screens.

In this order: the change gets its id, which is begun with the publisher; it becomes durable in the store (from then on
no read and no later append brings an erased comment back); it is applied to this node's copies; it is published as a
comment is. A process that is killed in between leaves a durable event that the nodes read from history, or has not
responded, so the operator repeats the order: all of it is safe to repeat.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from comment_service.clocks import wall_ms
from comment_service.core.errors import CommentErased, CommentUnknown
from comment_service.fence import Fence, sure_ms
from comment_service.moderate.copies import Copies
from history.core.ids import IdSource, first_id_at, time_of
from history.core.model import ERASED, HIDDEN, RESTORED, Change, Found, State, comment_json
from history.store import History, StoreUnavailable

AHEAD_MS_MAX = 10_000
"""ms that the id of a comment that isn't stored yet, or of one whose next change comes after it, may be ahead of this
clock: 5,000 that clocks may differ, and 5,000 that ids run ahead of theirs (`--clock-off-ms-max`, `--ahead-ms-max` of
the dispatchers)"""


STORED_MS_MAX = 5_000
"""ms that a change may take to become durable, which takes 5: so long the video's later comments wait behind it"""


AGAIN_MS = 500
"""until a change is sent again that some node may lack: a quarter of the lease after which that is known"""


class ChangePublisher(Protocol):
    """What moderating needs of a Publisher: `begin`, then either `put` or `abandon`, and whether it has arrived. What
    is begun and put once more is sent once more."""

    def begin(self, event_id: int, video_id: str) -> int: ...

    def abandon(self, event_id: int) -> None: ...

    def put(self, event: Change) -> None: ...

    async def published(self, event_id: int) -> bool:
        """True: a dispatcher has answered for it: every living node with viewers of its video has it. False: some may
        lack it."""
        ...


@dataclass(frozen=True, slots=True)
class Order:
    """An order that was carried out durably"""

    comments: int
    """how many it concerned"""
    is_published: bool
    """False: some node may not have it yet"""


class Changing:
    """Makes changes durable and publishes them. Belongs to one event loop."""

    def __init__(
        self,
        history: Callable[[], History],
        copies: Copies,
        publisher: ChangePublisher,
        ids: IdSource,
        fence: Fence,
        *,
        published_ms: int,
    ) -> None:
        """history: the open store; raises StoreUnavailable until there is one. published_ms: how long an order waits
        for its publishing."""
        self._history = history
        self._copies = copies
        self._publisher = publisher
        self._ids = ids
        self._fence = fence
        self._published_ms = published_ms

    async def new(self, kind: str, video_id: str, *, above_id: int = 0, **fields: int | str | bytes) -> Change:
        """A change with an id above that one, which is begun. `apply` or `publisher.abandon` has to follow. Raises
        StoreUnavailable."""
        now_ms = await sure_ms(self._fence)
        self._ids.observe(above_id)
        change_id = self._ids.next(now_ms)
        after_id = self._publisher.begin(change_id, video_id)
        return Change(change_id, video_id, kind, after_id=after_id, **fields)  # type: ignore[arg-type]

    async def apply(self, change: Change) -> Change:
        """Returns it, as it is published, when it is durable and in this node's copies. Raises StoreUnavailable, after
        STORED_MS_MAX at the latest; then its id is abandoned."""
        end_s = asyncio.get_running_loop().time() + STORED_MS_MAX / 1000
        try:
            async with asyncio.timeout_at(end_s):
                await self._history().apply([change])
        except TimeoutError:
            self._publisher.abandon(change.id)
            raise StoreUnavailable("the store is slow") from None
        except BaseException:
            self._publisher.abandon(change.id)
            raise
        try:
            await self._copies.apply(change)
            change = await self._checked(change, end_s)
        finally:
            self._publisher.put(change)
        return change

    async def wait_published(self, changes: Sequence[Change]) -> bool:
        """Whether every living node with viewers has all of them, in time. After the death of a node it takes a lease
        until that is known: they are sent again until then."""
        try:
            async with asyncio.timeout(self._published_ms / 1000):
                while left := [change for change in changes if not await self._publisher.published(change.id)]:
                    await asyncio.sleep(AGAIN_MS / 1000)
                    for change in left:
                        self._publisher.begin(change.id, change.video_id)
                        self._publisher.put(change)
        except TimeoutError:
            return False
        return True

    async def _checked(self, change: Change, end_s: float) -> Change:
        """A restored comment isn't sent if it was hidden or erased meanwhile."""
        if change.kind == RESTORED:
            with contextlib.suppress(StoreUnavailable, TimeoutError):
                async with asyncio.timeout_at(end_s):
                    found = await self._history().find(change.video_id, change.target_id)
                if found is None or found.state is not State.VISIBLE:
                    return msgspec.structs.replace(change, data=b"")
        return change


class Moderator:
    """One comment's changes. Both ids of a comment that was accepted twice lead to the one that stands
    (comment_service/write/withdrawing.py). Belongs to one event loop."""

    def __init__(self, history: Callable[[], History], changing: Changing) -> None:
        self._history = history
        self._changing = changing

    async def erase(self, video_id: str, comment_id: int) -> Order:
        """Also a comment that isn't stored yet. Raises StoreUnavailable, as all orders do, and CommentUnknown for an id
        from the future: its row in the log would say that all events until then were there.

        Its id needn't be above the last change's: erased is for ever, whatever comes before or after it.
        """
        found = await self._history().find(video_id, comment_id)
        if found is None and time_of(comment_id) > wall_ms() + AHEAD_MS_MAX:
            raise CommentUnknown(video_id)
        stands_id = 0 if found is None else found.stands_id
        return await self._change(ERASED, video_id, stands_id or comment_id)

    async def hide(self, video_id: str, comment_id: int) -> Order:
        """Raises CommentUnknown, CommentErased."""
        found = await self._find(video_id, comment_id)
        return await self._change(HIDDEN, video_id, found.comment.id, above_id=_last_id(found))

    async def restore(self, video_id: str, comment_id: int) -> Order:
        """Raises CommentUnknown, CommentErased. One that is visible stays so; viewers get it once more, and have it."""
        found = await self._find(video_id, comment_id)
        data = comment_json(found.comment)
        return await self._change(RESTORED, video_id, found.comment.id, data, above_id=_last_id(found))

    async def _find(self, video_id: str, comment_id: int) -> Found:
        found = await self._history().find(video_id, comment_id)
        if found is not None and found.stands_id:
            found = await self._history().find(video_id, found.stands_id)
        if found is None:
            raise CommentUnknown(video_id)
        if found.state is State.ERASED:
            raise CommentErased
        return found

    async def _change(
        self, kind: str, video_id: str, comment_id: int, data: bytes = b"", *, above_id: int = 0
    ) -> Order:
        change = await self._changing.new(kind, video_id, above_id=above_id, target_id=comment_id, data=data)
        applied = await self._changing.apply(change)
        return Order(1, await self._changing.wait_published([applied]))


def _last_id(found: Found) -> int:
    """Of what was said about the comment so far. The next change must have a greater one than the last change, or it
    wouldn't count, though another process whose clock is ahead of this one's has made that a moment ago; and one than
    the comment, unless that clock is off: all ids that this process gives from now on are greater.

    Raises StoreUnavailable if the clock of the process that made the last change is off.
    """
    far_ahead_id = first_id_at(wall_ms() + AHEAD_MS_MAX)
    if found.changed_id >= far_ahead_id:
        raise StoreUnavailable("the comment was last changed by a process whose clock is far ahead; it can be erased")
    return found.changed_id if found.comment.id >= far_ahead_id else max(found.comment.id, found.changed_id)
