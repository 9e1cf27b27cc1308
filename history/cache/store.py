"""A cache in front of a store, for its readers: a Store over a Store, which keeps its copies in aiocache.

- A miss reads more than was asked for (`read_comments`), and the pages that follow are cut from it.
- Concurrent misses share one read.
- Comments older than `late_ms` are closed: kept for `closed_ms`. Above, ids can still come from other comment_services
  with slower clocks or writes: that part is the tip, and kept for `tip_ms` only.
- What this node appends is added at once to the runs it belongs to, also when it is late.
- The size is bounded in bytes; the run that was used least recently goes first.

So a page may lack what another node accepted within the last `tip_ms`. But a reader who goes on from page to page, each
perhaps from another node, skips nothing: behind a comment that is as new as a run, the run isn't used.

No copy is older than `closed_ms`. Erased and hidden comments leave the copies with `evict`, a purged author's with
`evict_author`; where comments were restored, or arrived late from another node's spool, `invalidate` drops the copies.
This node calls all of them at once for what it does itself, and when it sees the notices of other nodes. What it has
just evicted doesn't come back by an append that was under way, or is repeated: the store doesn't take it either.
"""

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from aiocache import SimpleMemoryCache  # type: ignore[import-untyped]

from history.clocks import monotonic_s, wall_ms
from history.config import EVICTED_MAX, PURGES_KEPT_MS, SETTLED_MS
from history.core.ids import first_id_at
from history.core.late import ALL_VIDEOS
from history.core.model import Comment, Comments
from history.core.purges import RecentPurges
from history.core.runs import END, Highs, Run, Validity
from history.store import Claimed, Outcome, Store, StoreError, own_comments
from proto.tasks import Shared

_log = structlog.stdlib.get_logger()


@dataclass(frozen=True, slots=True)
class CacheSettings:
    bytes_max: int
    read_comments: int
    """comments in one read of the store, at least"""
    reads_max: int
    """of the store, for one page: where most is hidden, each finds little"""
    late_ms: int
    """how long after its time a comment of another node may become readable"""
    tip_ms: int
    closed_ms: int


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    hits: int  # runs that were in the cache
    misses: int  # runs that had to be read
    reads: int  # of the store
    bytes: int
    bytes_max: int


class CachedStore:
    """A history.store.Store. Belongs to one event loop."""

    def __init__(self, store: Store, settings: CacheSettings, *, is_whole: Callable[[], bool] = lambda: True) -> None:
        """is_whole: whether what the store just returned is all there is. If not, nothing of it counts as closed."""
        self._store = store
        self._settings = settings
        self._is_whole = is_whole
        self._cache = SimpleMemoryCache(timeout=0)  # no timer around each call: it never waits
        self._highs: defaultdict[str, Highs] = defaultdict(Highs)
        self._sizes: OrderedDict[tuple[str, int], int] = OrderedDict()  # of each run; the one used last is last
        self._bytes = 0
        self._reading: dict[tuple[str, int], Shared[Run]] = {}
        self._appended: dict[str, list[Comment]] = {}  # while that video is being read
        self._evicted: OrderedDict[tuple[str, int], None] = OrderedDict()  # the last ones
        self._purges = RecentPurges(PURGES_KEPT_MS)
        self._changes = 0  # counts `evict` and `invalidate`: a read that began before one may have missed it
        self._hits = self._misses = self._reads = 0

    async def append(self, comments: Sequence[Comment]) -> None:
        await self._store.append(comments)
        await self._add(comments)

    async def append_claimed(self, items: Sequence[Claimed], now_ms: int, keep_ms: int) -> Sequence[Outcome]:
        outcomes = await self._store.append_claimed(items, now_ms, keep_ms)
        await self._add(own_comments(items, outcomes))
        return outcomes

    async def _add(self, comments: Sequence[Comment]) -> None:
        """To the runs that they belong to"""
        run: Run | None = None
        of_video = ""
        for comment in comments:
            if (waiting := self._appended.get(comment.video_id)) is not None:
                waiting.append(comment)
            if comment.video_id not in self._highs or self._is_gone(comment):
                continue
            if run is None or of_video != comment.video_id or not run.low <= comment.id < run.high:
                run, of_video = await self._known(comment.video_id, comment.id + 1), comment.video_id
            if run is not None and run.add(comment):
                self._count(comment.video_id, run)
        await self._make_room()

    async def older(self, video_id: str, before: int | None, limit: int) -> Comments:
        found, _ = await self.older_valid(video_id, before, limit)
        return found

    async def older_valid(self, video_id: str, before: int | None, limit: int) -> tuple[Comments, tuple[Validity, ...]]:
        """What `older` returns, and how long it would return the same: as long as all of these hold, by
        `monotonic_s`. Joins up to `reads_max` reads of the store, each of which is bounded."""
        found: list[Comment] = []
        validities: list[Validity] = []
        high = END if before is None else min(before, END)
        above: Run | None = None
        reads = 0
        while len(found) < limit and high > 0:
            run = await self._known(video_id, high)
            if run is None or not run.serves(high, above, SETTLED_MS):
                if reads == self._settings.reads_max:
                    return Comments(found, high), tuple(validities)
                reads += 1
                self._misses += 1
                run = await self._read_once(video_id, high, limit - len(found))
            else:
                self._hits += 1
                self._sizes.move_to_end((video_id, run.high))
            found += run.before(high, limit - len(found))
            is_settled = run.serves(high, above, SETTLED_MS)
            validities.append(run.validity if is_settled else Validity(0, run.is_whole))
            high, above = run.low, run
        next_id = found[-1].id if 0 < limit <= len(found) else None
        return Comments(found, next_id), tuple(validities)

    async def newer(self, video_id: str, after: int, limit: int) -> Comments:
        return await self._store.newer(video_id, after, limit)

    async def check(self) -> None:
        await self._store.check()

    async def close(self) -> None:
        await asyncio.gather(*(reading.close() for reading in self._reading.values()))
        await self._cache.clear()
        await self._store.close()

    async def evict(self, video_id: str, ids: Sequence[int]) -> None:
        """These are erased or hidden. A read under way may have seen them, so its result isn't kept."""
        gone = set(ids)
        self._evicted.update(((video_id, each), None) for each in ids)
        while len(self._evicted) > EVICTED_MAX:
            self._evicted.popitem(last=False)
        await self._change_runs(video_id, lambda run: run.evict(gone))

    async def evict_author(self, author_id: str, video_id: str, up_to_id: int) -> None:
        """His comments up to that id are erased, in that video or in ALL_VIDEOS. As `evict`."""
        self._purges.learn([(author_id, video_id, up_to_id)], wall_ms())
        await self._change_runs(video_id, lambda run: run.evict_author(author_id, up_to_id))

    async def invalidate(self, video_id: str, low_id: int, high_id: int) -> None:
        """Comments of that video, or of ALL_VIDEOS, arrived late between these ids, both included: the copies are
        dropped. A read under way may have missed the comments, so its result isn't kept."""
        self._changes += 1
        self._evicted = OrderedDict(
            (name, None) for name in self._evicted if name[0] != video_id or not low_id <= name[1] <= high_id
        )  # it may have been restored
        for each in list(self._highs) if video_id == ALL_VIDEOS else [video_id]:
            await self._drop_between(each, low_id, high_id)
            await asyncio.sleep(0)  # of all videos there are many

    def statistics(self) -> CacheStatistics:
        return CacheStatistics(self._hits, self._misses, self._reads, self._bytes, self._settings.bytes_max)

    def _is_gone(self, comment: Comment) -> bool:
        is_evicted = (comment.video_id, comment.id) in self._evicted
        return is_evicted or self._purges.bar(comment.author.id, comment.video_id, comment.id)

    async def _change_runs(self, video_id: str, change: Callable[[Run], None]) -> None:
        self._changes += 1
        for each in list(self._highs) if video_id == ALL_VIDEOS else [video_id]:
            for high in list(self._highs.get(each, ())):
                run = await self._cache.get(_key(each, high))
                if run is not None:
                    change(run)
                    self._count(each, run)
            await asyncio.sleep(0)  # of all videos there are many

    async def _known(self, video_id: str, before: int) -> Run | None:
        """The run that holds the ids just below `before`"""
        highs = self._highs.get(video_id)
        while highs is not None and (high := highs.at_or_above(before)) is not None:
            run: Run | None = await self._cache.get(_key(video_id, high))
            if run is not None:
                return run if run.low < before else None
            self._drop(video_id, high)  # expired
        return None

    async def _read_once(self, video_id: str, high: int, limit: int) -> Run:
        """Concurrent callers share one read, and its StoreUnavailable. It goes on if some of them are cancelled."""
        reading = self._reading.get((video_id, high))
        if reading is None:
            read = self._read(video_id, high, limit)
            reading = Shared(
                "cache read", read, expected=(StoreError,), on_end=lambda: self._end_reading(video_id, high)
            )
            self._reading[video_id, high] = reading
        return await reading.wait()

    def _end_reading(self, video_id: str, high: int) -> None:
        del self._reading[video_id, high]
        if not any(video == video_id for video, _ in self._reading):
            self._appended.pop(video_id, None)

    async def _read(self, video_id: str, high: int, limit: int) -> Run:
        settings = self._settings
        changes = self._changes
        appended = self._appended.setdefault(video_id, [])
        read_ms = wall_ms()
        closed_before = first_id_at(read_ms - settings.late_ms)
        size = max(settings.read_comments, limit)
        self._reads += 1
        comments, next_id = await self._store.older(video_id, None if high == END else high, size)
        if changes != self._changes:  # some of whoever waits has come after an order that the read hasn't seen
            comments = [comment for comment in comments if not self._is_gone(comment)]
        run = Run(next_id or 0, high, comments, self._is_whole(), read_ms)
        for comment in appended:  # the store may have been read before they were in it
            if not self._is_gone(comment):
                run.add(comment)
        if changes == self._changes:
            for part in run.split(closed_before):
                is_closed = run.is_whole and part.high <= closed_before
                await self._keep(video_id, part, settings.closed_ms if is_closed else settings.tip_ms)
        return run

    async def _keep(self, video_id: str, run: Run, keep_ms: int) -> None:
        """Replaces the runs that it overlaps."""
        for high in self._highs[video_id].within(run.low, run.high):
            await self._remove(video_id, high)
        above = await self._known(video_id, run.high + 1) if run.high < END else None
        if above is not None and above.low < run.high:
            if above.read_ms >= run.read_ms:
                return  # another read has this stretch already
            above.raise_low(run.high)
            self._count(video_id, above)
        run.keep_until(monotonic_s() + keep_ms / 1000)
        await self._cache.set(_key(video_id, run.high), run, ttl=keep_ms / 1000)
        self._highs[video_id].add(run.high)
        self._count(video_id, run)
        await self._make_room()

    def _count(self, video_id: str, run: Run) -> None:
        key = (video_id, run.high)
        size = run.size
        self._bytes += size - self._sizes.get(key, 0)
        self._sizes[key] = size
        self._sizes.move_to_end(key)

    async def _drop_between(self, video_id: str, low_id: int, high_id: int) -> None:
        for high in list(self._highs.get(video_id, ())):
            run = await self._cache.get(_key(video_id, high))
            if run is not None and run.low <= high_id and low_id < run.high:
                await self._remove(video_id, high)

    async def _make_room(self) -> None:
        while self._bytes > self._settings.bytes_max:
            video_id, high = next(iter(self._sizes))
            await self._remove(video_id, high)

    async def _remove(self, video_id: str, high: int) -> None:
        run: Run | None = await self._cache.get(_key(video_id, high))
        if run is not None:
            run.keep_until(0)
            await self._cache.delete(_key(video_id, high))
        self._drop(video_id, high)

    def _drop(self, video_id: str, high: int) -> None:
        self._bytes -= self._sizes.pop((video_id, high), 0)
        highs = self._highs[video_id]
        highs.remove(high)
        if not highs:
            del self._highs[video_id]


def _key(video_id: str, high: int) -> str:
    return f"{video_id}/{high:x}"
