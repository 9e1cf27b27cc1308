"""Drops this node's copies of what other processes have erased, and of stretches into which comments came late from
another process's spool: each process asks the store now and then."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Generic, Protocol, TypeVar

from comment_service.clocks import wall_ms
from history.store import History, StoreUnavailable, Stretch

Item = TypeVar("Item")


class Copies(Protocol):
    """Where this node has comments beside the store"""

    async def forget(self, video_id: str, ids: Sequence[int]) -> None:
        """These are erased."""
        ...

    async def read_again(self, video_id: str, low_id: int, high_id: int) -> None:
        """In the store comments of that video, or of ALL_VIDEOS, have come between these ids."""
        ...


async def forget_for_ever(history: Callable[[], History], copies: Copies, *, every_ms: int, overlap_ms: int) -> None:
    """history: the open store; raises StoreUnavailable until there is one. overlap_ms: how far it looks back each time,
    for clocks of nodes differ; what was seen is not forgotten again. What was missed while it was away is asked
    for when it is back. What is erased comes first, and never waits for what came late."""
    erased = News[tuple[str, int]](lambda since_ms, now_ms: history().erased_since(since_ms, now_ms), overlap_ms)
    late = News[Stretch](lambda since_ms, now_ms: history().late_since(since_ms, now_ms), overlap_ms)
    while True:
        await asyncio.sleep(every_ms / 1000)
        for video_id, found in groupby(sorted(await erased.ask()), itemgetter(0)):
            await copies.forget(video_id, [comment_id for _, comment_id in found])
        for each in one_for_each_video(await late.ask()):
            await copies.read_again(each.video_id, each.low_id, each.high_id)


class News(Generic[Item]):
    """What processes tell each other through the store, each item once"""

    def __init__(self, told: Callable[[int, int], Awaitable[Sequence[Item]]], overlap_ms: int) -> None:
        """told: since when, until when; raises StoreUnavailable."""
        self._told = told
        self._overlap_ms = overlap_ms
        self._asked_ms = wall_ms()
        self._known: set[Item] = set()

    async def ask(self) -> set[Item]:
        """What was told since it could last be asked; nothing while the store is away."""
        now_ms = wall_ms()
        try:
            told = set(await self._told(self._asked_ms - self._overlap_ms, now_ms))
        except StoreUnavailable:
            return set()
        new = told - self._known
        self._asked_ms, self._known = now_ms, told
        return new


def one_for_each_video(found: Iterable[Stretch]) -> list[Stretch]:
    """Around all of the video's: a spool is drained from its beginning on, so what is told at one time lies close
    together, and the copies are looked through once."""
    around: dict[str, Stretch] = {}
    for each in found:
        known = around.setdefault(each.video_id, each)
        around[each.video_id] = Stretch(each.video_id, min(known.low_id, each.low_id), max(known.high_id, each.high_id))
    return list(around.values())
