"""This node's copies of comments, and how they stay true when other processes erase comments or store them late.

Each process asks the store now and then which comments were erased, and which came late: into an old stretch of ids,
from a spool that was drained. It evicts the former from its copies, and reads the latter stretches again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Generic, Protocol, TypeVar

import structlog

from comment_service.clocks import wall_ms
from history.cache.store import CachedStore
from history.core.late import Stretch
from history.spool.store import SpooledStore
from history.store import History, StoreUnavailable

log = structlog.stdlib.get_logger()

Item = TypeVar("Item")


class Copies(Protocol):
    """Where this node has comments beside the store"""

    async def evict(self, video_id: str, ids: Sequence[int]) -> None:
        """These are erased: they are no longer read from here."""
        ...

    async def invalidate(self, video_id: str, low_id: int, high_id: int) -> None:
        """Between these ids, both included, the store has got comments of that video, or of ALL_VIDEOS."""
        ...

    async def wait_drained(self) -> None:
        """Returns when every comment that was accepted here is in the store."""
        ...


@dataclass(frozen=True, slots=True)
class NodeCopies:
    """A cache and a spool"""

    cached: CachedStore
    spooled: SpooledStore

    async def evict(self, video_id: str, ids: Sequence[int]) -> None:
        self.spooled.evict(video_id, ids)
        await self.cached.evict(video_id, ids)

    async def invalidate(self, video_id: str, low_id: int, high_id: int) -> None:
        await self.cached.invalidate(video_id, low_id, high_id)

    async def wait_drained(self) -> None:
        await self.spooled.wait_drained()


class CopiesUpkeep:
    """Applies to the copies what other processes have erased or stored late."""

    def __init__(self, history: Callable[[], History], copies: Copies, *, every_ms: int, overlap_ms: int) -> None:
        """history: the open store; raises StoreUnavailable until there is one. overlap_ms: how far each look goes
        back beyond the last one, because the clocks of nodes differ; what was seen is not applied again."""
        self._copies = copies
        self._every_ms = every_ms
        self._erased = News[tuple[str, int]](
            lambda since_ms, now_ms: history().erased_since(since_ms, now_ms), overlap_ms
        )
        self._late = News[Stretch](lambda since_ms, now_ms: history().late_since(since_ms, now_ms), overlap_ms)

    async def run(self) -> None:
        """For ever. Asks for what it missed while the store was away when it is back. A video whose copies fail is
        logged, tried again at the next looks, and holds up no other."""
        while True:
            await asyncio.sleep(self._every_ms / 1000)
            # The erased first: they never wait for what came late.
            for video_id, items in groupby(sorted(await self._erased.ask()), itemgetter(0)):
                await self._evict(video_id, list(items))
            for stretch in one_for_each_video(await self._late.ask()):
                await self._invalidate(stretch)

    async def _evict(self, video_id: str, items: list[tuple[str, int]]) -> None:
        try:
            await self._copies.evict(video_id, [comment_id for _, comment_id in items])
        except Exception as error:
            log.exception("erased comments not evicted", video=video_id, reason=repr(error))
            self._erased.ask_again(items)

    async def _invalidate(self, stretch: Stretch) -> None:
        try:
            await self._copies.invalidate(stretch.video_id, stretch.low_id, stretch.high_id)
        except Exception as error:
            log.exception("late comments not read", video=stretch.video_id, reason=repr(error))
            self._late.ask_again([stretch])


class News(Generic[Item]):
    """What processes report to each other through the store, each item once"""

    def __init__(self, reported: Callable[[int, int], Awaitable[Sequence[Item]]], overlap_ms: int) -> None:
        """reported: since when, until when; raises StoreUnavailable."""
        self._reported = reported
        self._overlap_ms = overlap_ms
        self._asked_ms = wall_ms()
        self._known: set[Item] = set()
        self._failed: set[Item] = set()

    async def ask(self) -> set[Item]:
        """What was reported since it could last be asked, and `ask_again`; nothing while the store is away."""
        now_ms = wall_ms()
        try:
            reported = set(await self._reported(self._asked_ms - self._overlap_ms, now_ms))
        except StoreUnavailable:
            return set()
        new = (reported - self._known) | self._failed
        self._asked_ms, self._known, self._failed = now_ms, reported, set()
        return new

    def ask_again(self, items: Iterable[Item]) -> None:
        """The next `ask` returns these once more."""
        self._failed.update(items)


def one_for_each_video(found: Iterable[Stretch]) -> list[Stretch]:
    """For each video the smallest stretch around all of its stretches. A spool is drained from its beginning on, so
    what is reported at one time lies close together, and the copies are looked through once."""
    around: dict[str, Stretch] = {}
    for each in found:
        known = around.setdefault(each.video_id, each)
        around[each.video_id] = Stretch(each.video_id, min(known.low_id, each.low_id), max(known.high_id, each.high_id))
    return list(around.values())
