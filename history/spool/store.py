"""A store that goes on accepting while the store behind it is away: a Store over a Store.

    the store answers            append ──► store
    it fails, or is too slow     append ──► store ──(slow_ms)──► spool      once: from then on it counts as away
    away                         append ──► spool, at once; behind, the spool is drained, which is also the probe
    drained quickly, again       it counts as back: append ──► store again, while the rest is drained

What `append` has returned for is durable, on the store's disks or on this machine's. The two promises differ: until it
is drained a spooled comment is lost with this machine's disk, and only this node's readers see it.

**What a spool hides.** An RMS node reads history when a viewer joins, and to fill gaps. Its reads don't see what lies
in the spool of a comment_service: whoever joined after such a comment was published didn't get it, neither live nor
from history. So when the spool is empty again its owner is told (`Hidden.show`), and asks all nodes to read once more
from the first spooled comment on; they drop what they have. As long as comments are hidden the owner also remembers
from which one on, in a file, so that a kill in between changes nothing.
"""

import asyncio
import heapq
import random
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Protocol, TypeVar

import structlog

from history.clocks import monotonic_ms
from history.core.model import Comment
from history.spool.files import Spool, SpoolStatistics
from history.store import Store, StoreUnavailable

Answer = TypeVar("Answer")

_log = structlog.stdlib.get_logger()


class Hidden(Protocol):
    """Who tells the readers on other nodes. Neither call waits."""

    def hide(self, from_id: int) -> None:
        """Comments from this id on can't be read elsewhere, from now on."""
        ...

    def show(self) -> None:
        """All of them can be."""
        ...


@dataclass(frozen=True, slots=True)
class SpoolSettings:
    slow_ms: int
    """how long an author waits for the store before the spool takes his comment"""
    retry_min_ms: int
    """before the store is tried again, doubling with each failure"""
    retry_max_ms: int
    drain_batch: int
    """comments in one write of the drain"""
    quick_writes: int
    """of the drain, in a row, each within half of slow_ms, until authors wait for the store again"""
    check_ms: int
    """how long what one check found out serves others"""


@dataclass(frozen=True, slots=True)
class SpooledStatistics:
    away: bool
    spool: SpoolStatistics
    drained: int
    """comments brought to the store since the start"""


class SpooledStore:
    """A history.store.Store. Belongs to one event loop; `drain` has to run for as long as it is used."""

    def __init__(self, store: Store, spool: Spool, hidden: Hidden, settings: SpoolSettings) -> None:
        self._store = store
        self._spool = spool
        self._hidden = hidden
        self._settings = settings
        self._away = False
        self._asked = False  # whether the store has ever been asked if it answers
        self._checking: asyncio.Task[str | None] | None = None  # the last check, under way or done
        self._checked_ms = 0  # when it was done, by monotonic_ms
        self._quick = 0  # writes of the drain in a row
        self._drained = 0
        self._work = asyncio.Event()
        self._work.set()  # the drain's first work is to find out whether the store answers
        self._emptied = asyncio.Event()
        self._stored_up_to = spool.high_id() or 0  # a former process may have stored some between those it spooled
        if (low_id := spool.low_id()) is not None:  # of a former process
            hidden.hide(low_id)

    async def append(self, comments: Sequence[Comment]) -> None:
        """Raises SpoolFull, and StoreUnavailable if neither the store nor this machine's disk takes them."""
        if not comments:
            return
        if not self._away and await self._store_takes(comments):
            self._left_to_the_store(comments)
            return
        try:
            await self._spool.append(comments)
        finally:
            self._work.set()  # only now: the first probe is the drain of these comments, if they are there
        # Before anybody publishes them; and not while the drain can't have seen them, or it would say too early that
        # all can be read.
        self._hidden.hide(min(comment.id for comment in comments))

    async def older(self, video_id: str, before: int | None, limit: int) -> list[Comment]:
        """While the store is away: what the spool holds, as long as it fills the page and all that only the store has
        is older. Raises StoreUnavailable."""
        spooled = self._spool.comments.older(video_id, before, limit)
        enough = len(spooled) >= limit and spooled[-1].id > self._stored_up_to
        stored = await self._read(self._store.older(video_id, before, limit), enough)
        return _merge(stored, spooled, limit, newest_first=True) if spooled else stored

    async def newer(self, video_id: str, after: int, limit: int) -> list[Comment]:
        """While the store is away: what the spool holds, as long as it holds an older one, too, and the store alone has
        none after it: else some in between may be missing. Raises StoreUnavailable."""
        spooled = self._spool.comments.newer(video_id, after, limit)
        enough = after >= self._stored_up_to and self._spool.comments.reaches(video_id, after)
        stored = await self._read(self._store.newer(video_id, after, limit), enough)
        return _merge(stored, spooled, limit, newest_first=False) if spooled else stored

    async def check(self) -> None:
        """Returns when comments are accepted: the store answers, or it is away and the spool has room. Raises
        StoreUnavailable, within slow_ms. Anybody may ask, so however many do, the store is asked once at a time: their
        number must not slow it down until it counts as away."""
        if not self._away and (reason := await asyncio.shield(self._latest_check())) is not None:
            raise StoreUnavailable(reason)
        if self._away and not self._spool.has_room:
            raise StoreUnavailable("the store is away, and the spool is full")

    def forget(self, video_id: str, ids: Sequence[int]) -> None:
        """These are erased from the store: they are no longer read from here. Draining doesn't bring them back, for
        the store remembers what was erased (`history.store.Erasing`)."""
        self._spool.comments.forget(video_id, ids)

    async def wait_drained(self) -> None:
        """Returns when nothing is in the spool."""
        while not self._spool.is_empty:
            self._emptied.clear()
            await self._emptied.wait()

    async def close(self) -> None:
        """What is in the spool waits for the next process."""
        if self._checking is not None:
            self._checking.cancel()
            await asyncio.wait([self._checking])
        await self._store.close()
        await self._spool.close()

    @property
    def is_away(self) -> bool:
        """The store doesn't answer: pages may lack what other nodes accepted."""
        return self._away

    def statistics(self) -> SpooledStatistics:
        return SpooledStatistics(self._away, self._spool.statistics(), self._drained)

    async def drain(self) -> None:
        """For ever: brings what is in the spool to the store, in order, and finds out when the store is back."""
        failures = 0
        while True:
            if self._spool.is_empty and not self._away:
                await self._work.wait()
                self._work.clear()
            try:
                await self._drain_segment()
            except StoreUnavailable as error:
                self._asked = True
                self.gone(error)
                failures += 1
                await asyncio.sleep(self._pause_s(failures))
            else:
                self._asked = True
                failures = 0

    async def _drain_segment(self) -> None:
        segment = await self._spool.oldest()
        if segment is None:
            await self._store.check()
            self._back()
            return
        size = self._settings.drain_batch
        for begin in range(0, len(segment.comments), size):
            await self._drain_batch(segment.comments[begin : begin + size])
        self._left_to_the_store(segment.comments)
        await self._spool.remove(segment)
        self._drained += len(segment.comments)
        if self._spool.is_empty:
            self._back()
            self._hidden.show()
            self._emptied.set()
            _log.info("spool_drained", drained=self._drained)

    async def _drain_batch(self, comments: Sequence[Comment]) -> None:
        """A store that has just been started is slow at first. Authors don't wait for that: the drain warms it up."""
        begin_ms = monotonic_ms()
        await self._store.append(comments)
        was_quick = monotonic_ms() - begin_ms < self._settings.slow_ms / 2
        self._quick = self._quick + 1 if was_quick else 0
        if self._quick >= self._settings.quick_writes:
            self._back()

    def _latest_check(self) -> "asyncio.Task[str | None]":
        """The one under way, or one that was just done"""
        checking = self._checking
        if checking is None or (checking.done() and monotonic_ms() - self._checked_ms >= self._settings.check_ms):
            self._checking = checking = asyncio.create_task(self._check())
        return checking

    async def _check(self) -> str | None:
        """Why it isn't known yet whether comments are accepted. None: the store answers, or is away from now on"""
        try:
            async with asyncio.timeout(self._settings.slow_ms / 1000):
                await self._store.check()
        except (TimeoutError, StoreUnavailable) as error:
            reason = str(error) or "the store doesn't answer"
            if not self._asked:  # it is just being opened
                return reason
            self.gone(StoreUnavailable(reason))
        finally:
            self._checked_ms = monotonic_ms()
        return None

    async def _store_takes(self, comments: Sequence[Comment]) -> bool:
        try:
            async with asyncio.timeout(self._settings.slow_ms / 1000):
                await self._store.append(comments)
        except TimeoutError:
            self._leave(f"a write wasn't done within {self._settings.slow_ms} ms")
        except StoreUnavailable as error:
            self._leave(str(error))
        else:
            return True
        return False

    def _left_to_the_store(self, comments: Sequence[Comment]) -> None:
        """Without the store, nothing is known of them."""
        self._stored_up_to = max(self._stored_up_to, max(comment.id for comment in comments))

    async def _read(self, reading: Awaitable[list[Comment]], enough: bool) -> list[Comment]:
        """While the store is away a reader waits no longer than an author. `enough`: nothing will do as well then, and
        only then: whoever keeps the answer asks `is_away` whether it is all there is."""
        limit_s = self._settings.slow_ms / 1000 if self._away else None
        try:
            async with asyncio.timeout(limit_s):
                return await reading
        except (TimeoutError, StoreUnavailable) as error:
            if enough and self._away:
                return []
            raise StoreUnavailable(str(error) or "the store is away") from error

    def gone(self, error: StoreUnavailable) -> None:
        """The store counts as away until a probe of the drain finds it."""
        self._leave(str(error))
        self._work.set()

    def _leave(self, reason: str) -> None:
        if not self._away:
            _log.warning("spooling", reason=reason)
        self._away = True
        self._quick = 0

    def _back(self) -> None:
        if self._away:
            _log.info("store_answers_again", spooled=len(self._spool.comments))
        self._away = False

    def _pause_s(self, failures: int) -> float:
        """Between half and all of a time that doubles with each failure"""
        settings = self._settings
        longest_ms = min(settings.retry_max_ms, settings.retry_min_ms * 2 ** min(failures - 1, 16))
        return random.uniform(longest_ms / 2, longest_ms) / 1000


def _merge(one: Sequence[Comment], other: Sequence[Comment], limit: int, *, newest_first: bool) -> list[Comment]:
    """Each id once; a spooled comment may be in the store already."""
    both = heapq.merge(one, other, key=lambda comment: comment.id, reverse=newest_first)
    return list(islice((next(same) for _, same in groupby(both, key=lambda comment: comment.id)), limit))
