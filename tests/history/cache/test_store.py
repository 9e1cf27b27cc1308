"""CachedStore: the contract of a store, with few reads of the one behind it"""

import asyncio
import gc
import tracemalloc
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest
import pytest_asyncio

from history.cache.store import CachedStore, CacheSettings
from history.clocks import monotonic_s, wall_ms
from history.config import StoreSettings
from history.core.ids import first_id_at
from history.core.late import ALL_VIDEOS
from history.core.model import Comment, Comments
from history.opening import open_store
from history.store import Claim, Claimed, Outcome, Store
from tests.history.comments import a_comment, comments_every
from tests.history.contract import StoreContract, scroll_back, video
from tests.history.moderating_contract import said_by
from tests.waiting import eventually

__all__ = ["video"]

SETTINGS = CacheSettings(1_000_000, read_comments=100, reads_max=5, late_ms=10_000, tip_ms=60_000, closed_ms=600_000)


class CountedStore:
    """A real store; counts the reads, and can hold them until the test releases them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.reads = 0
        self.error: Exception | None = None
        self.go = asyncio.Event()
        self.go.set()

    async def append(self, comments: Sequence[Comment]) -> None:
        await self._store.append(comments)

    async def append_claimed(self, items: Sequence[Claimed], now_ms: int, keep_ms: int) -> Sequence[Outcome]:
        return await self._store.append_claimed(items, now_ms, keep_ms)

    async def older(self, video_id: str, before: int | None, limit: int) -> Comments:
        self.reads += 1
        found = await self._store.older(video_id, before, limit)
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return found

    async def newer(self, video_id: str, after: int, limit: int) -> Comments:
        return await self._store.newer(video_id, after, limit)

    async def check(self) -> None:
        await self._store.check()

    async def close(self) -> None:
        await self._store.close()


@pytest.fixture(scope="module")
def new_url(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
    return lambda: f"sqlite:{tmp_path_factory.mktemp('cached')}/comments.db"


@pytest.fixture(scope="module")
def url(new_url: Callable[[], str]) -> str:
    return new_url()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def store(url: str) -> AsyncIterator[Store]:
    """What others write shows up after `tip_ms`: here nearly at once."""
    settings = CacheSettings(1_000_000, read_comments=30, reads_max=5, late_ms=0, tip_ms=1, closed_ms=1)
    store = CachedStore(await open_store(url), settings)
    yield store
    await store.close()


class TestContract(StoreContract):
    """The contract, over SQLite"""


def by_id(comment: Comment) -> int:
    return comment.id


class Parts:
    def __init__(self, inner: Store, settings: CacheSettings = SETTINGS) -> None:
        self.inner = CountedStore(inner)
        self.whole = True
        self.store = CachedStore(self.inner, settings, is_whole=lambda: self.whole)


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    parts = Parts(await open_store(f"sqlite:{tmp_path / 'comments.db'}"))
    yield parts
    await parts.store.close()


async def test_scrolling_takes_few_reads(parts: Parts) -> None:
    comments = comments_every(100, 1_000, "video")
    await parts.inner.append(comments)
    assert await scroll_back(parts.store, "video", 10) == comments[::-1]
    assert parts.inner.reads <= 12
    reads = parts.inner.reads
    assert await scroll_back(parts.store, "video", 7) == comments[::-1]  # cut otherwise
    assert (await parts.store.older("video", comments[500].id - 1, 3)).comments == comments[499:496:-1]
    assert parts.inner.reads == reads
    facts = parts.store.statistics()
    assert facts.hits > facts.misses
    assert 0 < facts.bytes <= facts.bytes_max


async def test_many_misses_at_once_are_one_read(parts: Parts) -> None:
    comments = comments_every(100, 50, "video")
    await parts.inner.append(comments)
    pages = await asyncio.gather(*(parts.store.older("video", None, 10) for _ in range(10_000)))
    assert all(page.comments == comments[:39:-1] for page in pages)
    assert parts.inner.reads == 1


async def test_the_tip_is_kept_current_by_what_is_appended_here(parts: Parts) -> None:
    now_ms = wall_ms()
    assert (await parts.store.older("video", None, 10)).comments == []
    recent = comments_every(1, 20, "video", now_ms - 5_000)
    for comment in (*recent[10:], *recent[:10]):  # also the late ones
        await parts.store.append([comment])
    late = a_comment(first_id_at(now_ms - 60_000))
    await parts.store.append([late])
    assert (await parts.store.older("video", None, 30)).comments == [*recent[::-1], late]
    assert parts.inner.reads == 1


async def test_what_is_claimed_here_is_in_the_tip_if_its_claim_holds(parts: Parts) -> None:
    now_ms = wall_ms()
    said = [a_comment(first_id_at(now_ms) + n) for n in range(3)]
    await parts.store.append(said[:1])
    assert (await parts.store.older("video", None, 9)).comments == said[:1]
    for comment in said[1:]:
        claim = Claim("ann", "video", "key", comment.id, comment.created_at_ms, b"digest")
        (first,) = await parts.store.append_claimed([(comment, claim)], now_ms, 60_000)
        assert isinstance(first, Claim)
        assert first.comment_id == said[1].id
    assert (await parts.store.older("video", None, 9)).comments == said[1::-1]
    assert parts.inner.reads == 1


async def test_what_is_appended_while_the_store_reads_is_not_lost(parts: Parts) -> None:
    parts.inner.go.clear()
    reading = asyncio.create_task(parts.store.older("video", None, 10))
    await eventually(lambda: parts.inner.reads == 1)
    await asyncio.sleep(0)
    new = a_comment(first_id_at(wall_ms()))
    await parts.store.append([new])
    parts.inner.go.set()
    assert (await reading).comments == [new]
    assert (await parts.store.older("video", None, 10)).comments == [new]
    assert parts.inner.reads == 1


async def test_the_tip_expires_and_what_is_closed_stays(tmp_path: Path) -> None:
    settings = CacheSettings(1_000_000, read_comments=10, reads_max=5, late_ms=10_000, tip_ms=1, closed_ms=600_000)
    parts = Parts(await open_store(f"sqlite:{tmp_path / 'comments.db'}"), settings)
    old = comments_every(100, 5, "video")
    await parts.inner.append(old)
    assert (await parts.store.older("video", None, 9)).comments == old[::-1]
    new = a_comment(first_id_at(wall_ms()))
    await parts.inner.append([new])  # by another node

    async def is_seen() -> bool:
        return (await parts.store.older("video", None, 9)).comments == [new, *old[::-1]]

    await eventually(is_seen)
    reads = parts.inner.reads
    assert (await parts.store.older("video", old[4].id, 9)).comments == old[3::-1]
    assert parts.inner.reads == reads
    await parts.store.close()


async def test_what_is_not_whole_is_not_kept_long(tmp_path: Path) -> None:
    settings = CacheSettings(1_000_000, read_comments=10, reads_max=5, late_ms=10_000, tip_ms=1, closed_ms=600_000)
    parts = Parts(await open_store(f"sqlite:{tmp_path / 'comments.db'}"), settings)
    parts.whole = False
    assert (await parts.store.older("video", None, 9)).comments == []
    parts.whole = True
    old = comments_every(100, 5, "video")
    await parts.inner.append(old)

    async def is_seen() -> bool:
        return (await parts.store.older("video", None, 9)).comments == old[::-1]

    await eventually(is_seen)
    await parts.store.close()


async def test_what_is_erased_is_gone(parts: Parts) -> None:
    comments = comments_every(100, 20, "video")
    await parts.inner.append(comments)
    await parts.store.older("video", None, 10)
    await parts.store.evict("video", [comments[19].id, comments[3].id])
    await parts.store.evict("unknown", [1])
    left = [comment for n, comment in enumerate(comments) if n not in (3, 19)]
    assert (await parts.store.older("video", None, 30)).comments == left[::-1]
    parts.inner.go.clear()
    reading = asyncio.create_task(parts.store.older("another", None, 10))
    await eventually(lambda: parts.inner.reads == 2)
    await parts.store.evict("another", [7])
    parts.inner.go.set()
    await reading
    await parts.store.older("another", None, 10)
    assert parts.inner.reads == 3  # the second one was not kept


async def test_a_purged_authors_comments_are_gone(parts: Parts) -> None:
    videos = [said_by(name, video_id, 20) for name in ("ann", "bob") for video_id in ("here", "there")]
    anns_here, anns_there, bobs_here, bobs_there = videos
    for each in videos:
        await parts.inner.append(each)
    for video_id in ("here", "there"):
        await parts.store.older(video_id, None, 50)
    size = parts.store.statistics().bytes
    await parts.store.evict_author("ann", "here", anns_here[9].id)
    here = sorted([*anns_here[10:], *bobs_here], key=by_id)[::-1]
    assert (await parts.store.older("here", None, 50)).comments == here
    assert len((await parts.store.older("there", None, 50)).comments) == 40
    await parts.store.evict_author("ann", ALL_VIDEOS, anns_there[-1].id)
    assert (await parts.store.older("here", None, 50)).comments == bobs_here[::-1]
    assert (await parts.store.older("there", None, 50)).comments == bobs_there[::-1]
    assert parts.store.statistics().bytes < size
    assert parts.inner.reads == 2


async def test_what_is_gone_does_not_come_back_by_an_append(parts: Parts) -> None:
    """One that was under way, or is repeated; the store doesn't take it either."""
    now_ms = wall_ms()
    erased, kept = comments_every(1, 2, "video", now_ms)
    (anns,) = said_by("ann", "video", 1, start_ms=now_ms)
    assert (await parts.store.older("video", None, 9)).comments == []
    await parts.store.evict("video", [erased.id])
    await parts.store.evict_author("ann", "video", anns.id)
    await parts.store.append([erased, anns, kept])
    assert (await parts.store.older("video", None, 9)).comments == [kept]
    await parts.store.invalidate("video", erased.id, erased.id)  # it was restored
    assert erased in (await parts.store.older("video", None, 9)).comments


async def test_who_comes_after_an_order_and_shares_a_read_from_before_it_does_not_see_what_is_gone(
    parts: Parts,
) -> None:
    erased, kept = comments_every(1, 2, "video")
    (anns,) = said_by("ann", "video", 1, start_ms=wall_ms())
    await parts.inner.append([erased, kept, anns])
    parts.inner.go.clear()
    before = asyncio.create_task(parts.store.older("video", None, 9))
    await eventually(lambda: parts.inner.reads == 1)
    await parts.store.evict("video", [erased.id])
    await parts.store.evict_author("ann", "video", anns.id)
    after = asyncio.create_task(parts.store.older("video", None, 9))
    await asyncio.sleep(0)
    parts.inner.go.set()
    assert (await after).comments == [kept]
    await before
    assert parts.inner.reads == 1


async def test_a_page_reads_a_bounded_number_of_times_and_the_next_goes_on(tmp_path: Path) -> None:
    settings = CacheSettings(1_000_000, read_comments=10, reads_max=3, late_ms=0, tip_ms=60_000, closed_ms=600_000)
    inner = await open_store(f"sqlite:{tmp_path / 'comments.db'}", StoreSettings(look_rows_max=20))
    parts = Parts(inner, settings)
    comments = comments_every(100, 200, "video")
    await inner.append(comments)
    await inner.erase("video", [each.id for each in comments[5:-5]])
    found, before, pages = list[Comment](), None, 0
    while pages == 0 or before is not None:
        reads = parts.inner.reads
        page, before = await parts.store.older("video", before, 10)
        assert parts.inner.reads - reads <= 3
        found += page
        pages += 1
    assert found == [*comments[-5:][::-1], *comments[:5][::-1]]
    assert 200 / 60 <= pages <= 6
    reads = parts.inner.reads
    assert (await parts.store.older("video", None, 10)).comments == found  # what is empty is cached, too
    assert parts.inner.reads == reads
    await parts.store.close()


async def test_what_came_late_elsewhere_is_read_again(parts: Parts) -> None:
    comments = comments_every(1_000, 200, "video")
    early, late, later = comments[:100:2], comments[1:99:2], comments[100:]
    await parts.inner.append([*early, *later])
    assert await scroll_back(parts.store, "video", 10) == [*later[::-1], *early[::-1]]
    await parts.inner.append(late)  # by another node, from its spool
    await parts.store.invalidate("video", late[0].id, late[-1].id)
    await parts.store.invalidate("unknown", 1, 2)
    assert await scroll_back(parts.store, "video", 10) == [*later[::-1], *sorted([*early, *late], key=by_id)[::-1]]
    reads = parts.inner.reads
    parts.inner.go.clear()
    reading = asyncio.create_task(parts.store.older("another", None, 10))
    await eventually(lambda: parts.inner.reads == reads + 1)
    await parts.store.invalidate("another", 1, 2)
    parts.inner.go.set()
    await reading
    await parts.store.older("another", None, 10)
    assert parts.inner.reads == reads + 2  # the read that may have missed it was not kept


async def test_what_came_late_in_many_videos_is_read_again(parts: Parts) -> None:
    names = [f"video-{n}" for n in range(5)]
    comments = {name: comments_every(1_000, 50, name) for name in names}
    for name in names:
        await parts.inner.append(comments[name][:20] + comments[name][30:])
        await scroll_back(parts.store, name, 10)
    for name in names:
        await parts.inner.append(comments[name][20:30])
    await parts.store.invalidate(ALL_VIDEOS, comments["video-0"][20].id, comments["video-4"][29].id)
    for name in names:
        assert await scroll_back(parts.store, name, 10) == comments[name][::-1]


async def test_an_answer_says_until_when_it_holds(parts: Parts) -> None:
    comments = comments_every(100, 250, "video")
    await parts.inner.append(comments)

    async def validity() -> float:
        _, validities = await parts.store.older_valid("video", None, 120)
        return min(each.until_s for each in validities)

    assert await validity() == 0  # just read: others may have changed it meanwhile
    now_s = monotonic_s()
    assert now_s < await validity() <= now_s + SETTINGS.closed_ms / 1000
    _, validities = await parts.store.older_valid("video", None, 120)
    await parts.store.append([a_comment(comments[-1].id + 1, "video")])
    assert min(each.until_s for each in validities) == 0
    assert await validity() > 0
    for change in (
        parts.store.evict("video", [comments[-1].id]),
        parts.store.invalidate("video", comments[-1].id, comments[-1].id),
    ):
        await validity()
        _, validities = await parts.store.older_valid("video", None, 120)
        assert min(each.until_s for each in validities) > 0
        await change
        assert min(each.until_s for each in validities) == 0


async def test_what_had_to_go_is_no_longer_valid(tmp_path: Path) -> None:
    settings = CacheSettings(50_000, read_comments=50, reads_max=5, late_ms=10_000, tip_ms=60_000, closed_ms=600_000)
    parts = Parts(await open_store(f"sqlite:{tmp_path / 'comments.db'}"), settings)
    for each in ("a", "b", "c"):
        await parts.inner.append(comments_every(10, 50, each))
    for _ in range(2):
        _, validities = await parts.store.older_valid("a", None, 10)
    assert min(each.until_s for each in validities) > 0
    for each in ("b", "c"):
        await parts.store.older(each, None, 10)
    assert min(each.until_s for each in validities) == 0
    await parts.store.close()


async def test_it_is_bounded_in_bytes(tmp_path: Path) -> None:
    settings = CacheSettings(100_000, read_comments=50, reads_max=5, late_ms=10_000, tip_ms=60_000, closed_ms=600_000)
    parts = Parts(await open_store(f"sqlite:{tmp_path / 'comments.db'}"), settings)
    videos = [f"video-{n}" for n in range(30)]
    for each in videos:
        await parts.inner.append(comments_every(10, 30, each))
    for each in videos:
        assert len((await parts.store.older(each, None, 10)).comments) == 10
        assert parts.store.statistics().bytes <= 100_000
    reads = parts.inner.reads
    await parts.store.older(videos[-1], None, 10)
    assert parts.inner.reads == reads
    await parts.store.older(videos[0], None, 10)  # it had to go
    assert parts.inner.reads == reads + 1
    await parts.store.close()


async def test_what_it_counts_is_what_it_takes(parts: Parts) -> None:
    """Also for videos that anybody can invent, and of which there is nothing but two empty runs"""
    for n in range(10):
        await parts.store.older(f"before-{n}", None, 10)
    counted = parts.store.statistics().bytes
    tracemalloc.start()
    try:
        for n in range(300):
            await parts.store.older(f"random-video-{n}", None, 10)
        gc.collect()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    facts = parts.store.statistics()
    assert facts.bytes < facts.bytes_max  # nothing had to go
    assert taken <= facts.bytes - counted
