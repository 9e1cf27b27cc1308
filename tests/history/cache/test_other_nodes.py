"""CachedStore: pages of one reader, each from another node's cache, skip no comment"""

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from history.cache.store import CachedStore, CacheSettings
from history.clocks import wall_ms
from history.config import SETTLED_MS
from history.core.ids import IdSource
from history.core.model import Comment
from history.opening import open_store
from tests.history.comments import a_comment

CACHING = CacheSettings(
    bytes_max=1 << 24, read_comments=50, reads_max=50, late_ms=15_000, tip_ms=60_000, closed_ms=600_000
)


class Nodes:
    """Caches over one store. Their tips are kept for a minute: what one has read stays as it was, wherever it may."""

    def __init__(self, caches: list[CachedStore]) -> None:
        self.caches = caches
        self._ids = IdSource(1)
        self.said: list[Comment] = []

    @classmethod
    async def open(cls, path: Path, count: int) -> "Nodes":
        return cls([CachedStore(await open_store(f"sqlite:{path / 'comments.db'}"), CACHING) for _ in range(count)])

    async def say(self, which: int, count: int, ago_ms: int = 0) -> None:
        new = [a_comment(self._ids.next(wall_ms() - ago_ms), "v") for _ in range(count)]
        await self.caches[which].append(new)
        self.said += new

    async def page(self, which: int, before: int | None, size: int) -> list[Comment]:
        return (await self.caches[which].older("v", before, size)).comments

    async def close(self) -> None:
        for cache in self.caches:
            await cache.close()


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[Nodes]:
    nodes = await Nodes.open(tmp_path, 2)
    yield nodes
    await nodes.close()


async def test_page_two_from_a_node_that_has_read_the_newest_run_before_skips_nothing(nodes: Nodes) -> None:
    await nodes.say(0, 30, ago_ms=60_000)
    await nodes.page(1, None, 11)
    await nodes.say(0, 40)
    first = await nodes.page(0, None, 10)
    second = await nodes.page(1, first[-1].id, 10)
    assert [*first, *second] == nodes.said[:-21:-1]


async def test_what_was_read_behind_a_new_comment_is_kept_beside_the_older_run_above(nodes: Nodes) -> None:
    await nodes.say(0, 30, ago_ms=60_000)
    await nodes.say(0, 10, ago_ms=SETTLED_MS + 100)
    border = nodes.said[-10].id
    await nodes.page(1, None, 40)
    reads = nodes.caches[1].statistics().reads
    assert await nodes.page(1, border, 30) == nodes.said[29::-1]  # settled: the run serves
    assert nodes.caches[1].statistics().reads == reads
    await nodes.say(0, 5)
    newest = nodes.said[-1].id
    assert await nodes.page(1, newest, 10) == nodes.said[-2:-12:-1]
    assert nodes.caches[1].statistics().reads == reads + 1
    assert await nodes.page(1, border, 30) == nodes.said[29::-1]
    assert await nodes.page(1, None, 10) == nodes.said[-2:-12:-1]  # what is above is still the older run's
    assert nodes.caches[1].statistics().reads == reads + 1


async def test_a_page_behind_a_new_comment_is_not_kept_whole(nodes: Nodes) -> None:
    await nodes.say(0, 30)
    _, validities = await nodes.caches[1].older_valid("v", nodes.said[-1].id, 10)
    assert [validity.until_s for validity in validities] == [0]
    await nodes.page(1, None, 10)
    _, validities = await nodes.caches[1].older_valid("v", None, 10)
    assert all(validity.until_s > 0 for validity in validities)


STEPS = st.lists(
    st.tuples(st.sampled_from(["say", "look", "scroll"]), st.integers(0, 2), st.integers(1, 40)),
    min_size=3,
    max_size=12,
)


@settings(max_examples=30, deadline=None)
@given(STEPS, st.integers(1, 20), st.randoms(use_true_random=False))
async def test_whoever_goes_from_page_to_page_and_from_node_to_node_skips_nothing(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]], size: int, rnd: random.Random
) -> None:
    nodes = await Nodes.open(tmp_path_factory.mktemp("nodes"), 3)
    await nodes.say(0, 20, ago_ms=60_000)
    for what, which, count in steps:
        if what == "say":
            await nodes.say(which, count)
        else:
            before = None if what == "look" else rnd.choice(nodes.said).id
            await nodes.page(which, before, count)
    page = first = await nodes.page(rnd.randrange(3), None, size)  # it may lack what is as young as `tip_ms`
    behind: list[Comment] = []
    while page:
        page = await nodes.page(rnd.randrange(3), page[-1].id, size)
        behind += page
    assert behind == [comment for comment in reversed(nodes.said) if comment.id < first[-1].id]
    await nodes.close()
