"""Erases all that an author has written until now, in one video or in all, and what of it arrives later.

An order is a row in the store, which any process carries on (`history.store.Moderating.begin_purge`):

    order    the author is barred, and other processes learn it within a second: their copies go, and they refuse his
             younger comments, too. Then the first look.
    a look   finds his comments. For each video in which there are any: one event `author_purged`, durable and
             published, and then they are overwritten. A video that the order names gets one in any case: viewers may
             have seen what lies in another process's spool.
    again    after 10 s, 1 min, 10 min, 1 h and 4 h: for what was on its way to the store at the order, and became
             readable afterwards. Cassandra's hints last 3 h.

Guarantees. When the order returns, no comment of his up to its time that was readable then can be read, and each video
with one has an event; `is_published` says whether the viewers have it. What becomes readable later is not shown by a
comment_service's pages, and is overwritten by the next look, with an event of its own if it is found. His id is kept
for a day at most, a hash of it for ever.

A crash. Before the order's row: nothing was done, and the operator got no answer. After it: the next look, of any
process, does the rest; the event comes before the overwriting, so no video goes without one. Two processes that look at
the same time overwrite twice, and viewers drop the second event's comments twice: harmless.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from comment_service.clocks import wall_ms
from comment_service.fence import Fence, sure_ms
from comment_service.moderate.copies import Copies
from comment_service.moderate.moderator import Changing, Order
from history.config import PURGE_FIRST_LOOK_MS, PURGE_LOOK_BACK_MS, PURGE_LOOKS_MS
from history.core.ids import IdSource, first_id_at, format_id, time_of
from history.core.late import ALL_VIDEOS
from history.core.model import AUTHOR_PURGED, Change
from history.core.purges import Purge
from history.store import History, StoreUnavailable

log = structlog.stdlib.get_logger()


@dataclass(frozen=True, slots=True)
class PurgeSettings:
    """What config.py says; its descriptions give the reasons."""

    pause_ms: int
    drained_ms: int
    poll_ms: int


class Purges:
    """Belongs to one event loop. `run` has to run for as long as it is used."""

    def __init__(
        self,
        history: Callable[[], History],
        copies: Copies,
        changing: Changing,
        ids: IdSource,
        fence: Fence,
        settings: PurgeSettings,
    ) -> None:
        """history: the open store; raises StoreUnavailable until there is one."""
        self._history = history
        self._copies = copies
        self._changing = changing
        self._ids = ids
        self._fence = fence
        self._settings = settings

    async def purge(self, author_id: str, video_id: str | None) -> Order:
        """Returns after the first look. Raises StoreUnavailable."""
        await self._wait_spool_empty()
        now_ms = await sure_ms(self._fence)
        purge_id = self._ids.next(now_ms)  # above all ids that this process has given
        up_to_id = max(first_id_at(now_ms + 1) - 1, purge_id)
        purge = Purge(purge_id, author_id, video_id or ALL_VIDEOS, up_to_id)
        await self._history().begin_purge(purge)
        await self._copies.apply(
            Change(purge.id, purge.video_id, AUTHOR_PURGED, author_id=author_id, up_to_id=up_to_id)
        )
        erased, changes = await self._look(purge, from_id=0)
        await self._history().note_look(replace(purge, looks=1))
        return Order(erased, await self._changing.wait_published(changes))

    async def run(self) -> None:
        """Carries on what any process has begun, for ever. While the store is away nothing is due. A purge that fails
        is tried again at the next query, and holds up no other."""
        while True:
            await asyncio.sleep(self._settings.poll_ms / 1000)
            try:
                purges = await self._history().purges(wall_ms())
            except StoreUnavailable:
                continue
            for purge in purges:
                if wall_ms() - time_of(purge.id) >= _due_ms(purge):
                    await self._carry_on(purge)

    async def _carry_on(self, purge: Purge) -> None:
        try:
            await self._look_again(purge)
        except StoreUnavailable:
            pass
        except Exception as error:
            log.exception("purge not carried on", purge=format_id(purge.id), reason=repr(error))

    async def _look_again(self, purge: Purge) -> None:
        """Looks once for all times that have passed. The first look goes through everything."""
        passed = sum(wall_ms() - time_of(purge.id) >= after_ms for after_ms in PURGE_LOOKS_MS)
        from_id = first_id_at(time_of(purge.up_to_id) - PURGE_LOOK_BACK_MS) if purge.looks else 0
        erased, _ = await self._look(purge, from_id)
        if erased:
            log.warning("a purge was not complete", comments=erased, after_ms=wall_ms() - time_of(purge.id))
        if passed == len(PURGE_LOOKS_MS):
            await self._history().end_purge(purge)
        else:
            await self._history().note_look(replace(purge, looks=1 + passed))

    async def _look(self, purge: Purge, from_id: int) -> tuple[int, list[Change]]:
        """How many comments it has found and overwritten, and the events"""
        history, only = self._history(), purge.video_id or None
        erased = 0
        changes: dict[str, Change] = {}
        async for video_id, ids in history.comments_of(purge.author_id, only, from_id, purge.up_to_id):
            if video_id not in changes:
                changes[video_id] = await self._event(purge, video_id)
                await self._changing.apply(changes[video_id])
            await history.erase(video_id, ids)
            erased += len(ids)
            # Thousands of writes must not hold up those of authors.
            await asyncio.sleep(self._settings.pause_ms / 1000)
        if only is not None and not (purge.looks or changes):
            changes[only] = await self._event(purge, only)
            await self._changing.apply(changes[only])
        return erased, list(changes.values())

    async def _event(self, purge: Purge, video_id: str) -> Change:
        """`Changing.apply` has to follow."""
        return await self._changing.new(AUTHOR_PURGED, video_id, author_id=purge.author_id, up_to_id=purge.up_to_id)

    async def _wait_spool_empty(self) -> None:
        """What is in the spool was sent to viewers, so it has to be found, not only barred. Raises StoreUnavailable."""
        try:
            async with asyncio.timeout(self._settings.drained_ms / 1000):
                await self._copies.wait_drained()
        except TimeoutError:
            raise StoreUnavailable("the spool isn't empty yet") from None


def _due_ms(purge: Purge) -> int:
    """When to look next, after the order"""
    return PURGE_LOOKS_MS[purge.looks - 1] if purge.looks else PURGE_FIRST_LOOK_MS
