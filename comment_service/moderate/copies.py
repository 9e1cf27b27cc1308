"""This node's copies of comments, and how they stay true when other processes hide, restore or erase comments, or store
them late.

Each process asks the store now and then what was changed, and which comments came late: into an old stretch of ids,
from a spool that was drained. It evicts from its copies what is gone, and reads again what was restored or came late.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Generic, Protocol, TypeVar

import structlog

from comment_service.clocks import wall_ms
from history.cache.store import CachedStore
from history.config import CHANGES_KNOWN_MAX
from history.core.late import Stretch
from history.core.model import AUTHOR_PURGED, ERASED, HIDDEN, RESTORED, Change
from history.core.news import ask_from
from history.spool.store import SpooledStore
from history.store import History, StoreUnavailable

log = structlog.stdlib.get_logger()

Item = TypeVar("Item")


class Copies(Protocol):
    """Where this node has comments beside the store"""

    async def apply(self, *changes: Change) -> None:
        """Of one video, or of ALL_VIDEOS. What is gone by them is no longer read from here; what was restored is."""
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

    async def apply(self, *changes: Change) -> None:
        video_id = changes[0].video_id
        if gone := [each.target_id for each in changes if each.kind in (ERASED, HIDDEN)]:
            self.spooled.evict(video_id, gone)
            await self.cached.evict(video_id, gone)
        for each in changes:
            if each.kind == AUTHOR_PURGED:
                self.spooled.evict_author(each.author_id, video_id, each.up_to_id)
                await self.cached.evict_author(each.author_id, video_id, each.up_to_id)
            elif each.kind == RESTORED:  # after the hidden ones: it may be one of them
                await self.cached.invalidate(video_id, each.target_id, each.target_id)

    async def invalidate(self, video_id: str, low_id: int, high_id: int) -> None:
        await self.cached.invalidate(video_id, low_id, high_id)

    async def wait_drained(self) -> None:
        await self.spooled.wait_drained()


class CopiesUpkeep:
    """Applies to the copies what other processes have changed or stored late."""

    def __init__(self, history: Callable[[], History], copies: Copies, *, every_ms: int, overlap_ms: int) -> None:
        """history: the open store; raises StoreUnavailable until there is one. overlap_ms: how far each look goes
        back beyond the last one, because the clocks of nodes differ; what was seen is not applied again."""
        self._copies = copies
        self._every_ms = every_ms
        self._changed = News[Change](lambda since_ms, now_ms: history().changes_since(since_ms, now_ms), overlap_ms)

        async def late(since_ms: int, now_ms: int) -> AsyncIterator[Sequence[Stretch]]:
            yield await history().late_since(since_ms, now_ms)

        self._late = News[Stretch](late, overlap_ms)

    async def run(self) -> None:
        """For ever. Asks for what it missed while the store was away when it is back. A video whose copies fail is
        logged, tried again at the next looks, and holds up no other."""
        while True:
            await asyncio.sleep(self._every_ms / 1000)
            # What is gone first: it never waits for what came late.
            by_video = attrgetter("video_id")
            async for new in self._changed.ask():
                for _, changes in groupby(sorted(new, key=by_video), by_video):
                    await self._apply(list(changes))
            async for late in self._late.ask():
                for stretch in one_for_each_video(late):
                    await self._invalidate(stretch)

    async def _apply(self, changes: list[Change]) -> None:
        try:
            await self._copies.apply(*changes)
        except Exception as error:
            log.exception("changes not applied to the copies", video=changes[0].video_id, reason=repr(error))
            self._changed.ask_again(changes)

    async def _invalidate(self, stretch: Stretch) -> None:
        try:
            await self._copies.invalidate(stretch.video_id, stretch.low_id, stretch.high_id)
        except Exception as error:
            log.exception("late comments not read", video=stretch.video_id, reason=repr(error))
            self._late.ask_again([stretch])


class News(Generic[Item]):
    """What processes report to each other through the store, each item once"""

    def __init__(self, reported: Callable[[int, int], AsyncIterator[Sequence[Item]]], overlap_ms: int) -> None:
        """reported: since when, until when; pages; raises StoreUnavailable."""
        self._reported = reported
        self._overlap_ms = overlap_ms
        self._asked_ms = wall_ms()
        self._known: set[Item] = set()
        self._failed: set[Item] = set()

    async def ask(self) -> AsyncIterator[set[Item]]:
        """What was reported since all of it could last be read, page by page, and `ask_again`. Ends when the store is
        away."""
        now_ms, read = wall_ms(), set[Item]()
        if self._failed:
            failed, self._failed = self._failed, set()
            yield failed
        try:
            async for page in self._reported(ask_from(self._asked_ms, now_ms, self._overlap_ms), now_ms):
                if new := set(page) - self._known - read:
                    yield new
                read.update(page[: CHANGES_KNOWN_MAX - len(read)])
        except StoreUnavailable:
            self._known.update(read)
            return
        self._asked_ms, self._known = now_ms, read

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
