"""Erases comments on an operator's order: from the store, from this node's copies, and from the viewers' screens.

In this order: durably in the store (from then on no read and no later append brings them back), then in this node's
copies, then by a message to the viewers, which is published as a comment is. A process that is killed in between has
not responded, so the operator repeats the order; all of it is safe to repeat.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from comment_service.clocks import wall_ms
from comment_service.erase.copies import Copies
from history.core.ids import IdSource, first_id_at
from history.core.model import Change
from history.store import History, StoreUnavailable


class ErasurePublisher(Protocol):
    """What erasing needs of a Publisher"""

    def begin(self, event_id: int, video_id: str) -> int: ...

    def put(self, event: Change) -> None: ...


@dataclass(frozen=True, slots=True)
class EraseSettings:
    """What config.py says; its descriptions give the reasons."""

    pause_ms: int
    look_again_ms: int
    drained_ms: int


class Eraser:
    """Belongs to one event loop."""

    def __init__(
        self,
        history: Callable[[], History],
        copies: Copies,
        publisher: ErasurePublisher,
        ids: IdSource,
        settings: EraseSettings,
    ) -> None:
        """history: the open store; raises StoreUnavailable until there is one."""
        self._history = history
        self._copies = copies
        self._publisher = publisher
        self._ids = ids
        self._settings = settings

    async def erase(self, video_id: str, ids: Sequence[int]) -> None:
        """Returns when they are durably gone; the message to the viewers is on its way. Raises StoreUnavailable."""
        await self._history().erase(video_id, ids)
        await self._copies.evict(video_id, ids)
        for erased_id in ids:
            erasure_id = self._ids.next(wall_ms())
            after_id = self._publisher.begin(erasure_id, video_id)
            self._publisher.put(Change(erasure_id, video_id, "erased", target_id=erased_id, after_id=after_id))

    async def erase_author(self, author_id: str, video_id: str | None) -> int:
        """Erases what the author has written until now, in that video or in all. Returns how many comments were found.

        Looks twice: what another node had accepted but not stored at the first look is stored by the second, or waits
        in a spool and is barred from the store. Raises StoreUnavailable.
        """
        up_to_id = first_id_at(wall_ms() + 1) - 1
        await self._wait_spool_empty()
        await self._history().bar_author(author_id, video_id, up_to_id)
        found = await self._erase_found(author_id, video_id, up_to_id)
        await asyncio.sleep(self._settings.look_again_ms / 1000)
        return found + await self._erase_found(author_id, video_id, up_to_id)

    async def _wait_spool_empty(self) -> None:
        """What is in the spool was sent to viewers, so it has to be found, not only barred. Raises StoreUnavailable."""
        try:
            async with asyncio.timeout(self._settings.drained_ms / 1000):
                await self._copies.wait_drained()
        except TimeoutError:
            raise StoreUnavailable("the spool isn't empty yet") from None

    async def _erase_found(self, author_id: str, video_id: str | None, up_to_id: int) -> int:
        found = 0
        async for of_video, ids in self._history().comments_of(author_id, video_id, up_to_id):
            await self.erase(of_video, ids)
            found += len(ids)
            # Thousands of erasures must not push live comments out of the publisher's backlog.
            await asyncio.sleep(self._settings.pause_ms / 1000)
        return found
