"""The spool and the cache before a real Cassandra, wired as comment_service has them, while it is killed and stuck."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from history.cache.store import CachedStore, CacheSettings
from history.clocks import wall_ms
from history.config import StoreSettings
from history.core.ids import IdSource
from history.core.model import ERASED, Change, Comment
from history.opening import open_store
from history.spool.draining import Lost, Taken, Withdraw
from history.spool.files import Spool
from history.spool.settings import SpoolSettings
from history.spool.store import SpooledStore
from history.store import Claim, Claimed, History, Store
from tests.cassandra_fixture import CassandraUnderTest
from tests.history.comments import a_comment
from tests.history.contract import StoreContract, video
from tests.history.spool.parts import RecordedVisibility, never_withdraw

__all__ = ["video"]

SPOOLING = SpoolSettings(
    slow_ms=300, retry_min_ms=10, retry_max_ms=200, drain_batch=50, quick_writes=3, keys_keep_ms=60_000, check_ms=0
)
PATIENT = replace(SPOOLING, slow_ms=60_000)
IMPATIENT = StoreSettings(cassandra_request_timeout_ms=1_000, cassandra_reconnect_ms=100)
CACHING = CacheSettings(bytes_max=1_000_000, read_comments=30, reads_max=5, late_ms=0, tip_ms=1, closed_ms=1)
BACK_S_MAX = 60

pytestmark = pytest.mark.timeout(240)  # Cassandra starts, on a machine that may be busy


class Node:
    """What one comment_service has of stores"""

    def __init__(
        self, history: Store, folder: Path, spooling: SpoolSettings = SPOOLING, withdraw: Withdraw = never_withdraw
    ) -> None:
        self.history = history
        self.visibility = RecordedVisibility()
        self.spool = Spool.open(folder / "spool", bytes_max=10_000_000, segment_bytes_max=65_536)
        self.spooled = SpooledStore(history, self.spool, self.visibility, spooling, withdraw)
        self.store = CachedStore(self.spooled, CACHING, is_whole=lambda: not self.spooled.is_away)
        self._draining = asyncio.create_task(self.spooled.drain())

    async def wait_drained(self) -> None:
        async with asyncio.timeout(BACK_S_MAX):
            await self.spooled.wait_drained()

    async def stop(self) -> None:
        self._draining.cancel()
        with suppress(asyncio.CancelledError):
            await self._draining
        await self.store.close()


@pytest.fixture(scope="module")
def new_url(cassandra: CassandraUnderTest) -> Callable[[], str]:
    return cassandra.new_url


@pytest.fixture(scope="module")
def url(shared_cassandra_url: str) -> str:
    return shared_cassandra_url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def store(url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Store]:
    node = Node(await open_store(url), tmp_path_factory.mktemp("node"), PATIENT)
    yield node.store
    await node.stop()


class TestContractThroughCacheAndSpool(StoreContract):
    """What a comment_service's readers and writers have, with a Cassandra that is up"""


class Author:
    """Says one thing after the other, and remembers what was taken."""

    def __init__(self, store: Store, video_id: str) -> None:
        self._store = store
        self._video_id = video_id
        self._ids = IdSource(9)
        self.taken: list[Comment] = []

    async def say(self, count: int) -> None:
        for _ in range(count):
            now_ms = wall_ms()
            comment = a_comment(self._ids.next(now_ms), self._video_id, f"number {len(self.taken)}")
            await self._store.append([comment])
            self.taken.append(comment)


@pytest.fixture
async def history(url: str) -> AsyncIterator[History]:
    history = await open_store(url, IMPATIENT)
    yield history
    await history.close()


async def test_killed_it_gets_everything_when_it_is_back(
    cassandra: CassandraUnderTest, history: History, video: str, tmp_path: Path
) -> None:
    node = Node(history, tmp_path)
    author = Author(node.store, video)
    await author.say(20)
    await asyncio.to_thread(cassandra.kill)
    try:
        await author.say(100)
        assert node.spooled.is_away
        assert (await node.store.older(video, None, 50)).comments == author.taken[:-51:-1]
        assert (await node.store.newer(video, author.taken[60].id, 10)).comments == author.taken[61:71]
        await node.store.check()
    finally:
        await asyncio.to_thread(cassandra.start)
    await author.say(20)
    await node.wait_drained()
    assert (await history.newer(video, 0, 1_000)).comments == author.taken
    assert node.visibility.shown == 1
    assert author.taken[19].id < min(node.visibility.hidden) <= author.taken[21].id
    await node.stop()


async def test_stuck_it_is_left_alone_until_it_goes_on(
    cassandra: CassandraUnderTest, history: History, video: str, tmp_path: Path
) -> None:
    node = Node(history, tmp_path)
    author = Author(node.store, video)
    await author.say(20)
    cassandra.send_signal(signal.SIGSTOP)
    try:
        await author.say(100)
        assert node.spooled.is_away
        await node.store.check()
    finally:
        cassandra.send_signal(signal.SIGCONT)
    await author.say(20)
    await node.wait_drained()
    # Those that it was given before it was stuck it may store now, too: the same ones.
    assert (await history.newer(video, 0, 1_000)).comments == author.taken
    await node.stop()


async def test_what_a_dead_process_had_spooled_is_drained_by_the_next(
    cassandra: CassandraUnderTest, url: str, video: str, tmp_path: Path
) -> None:
    """Half of it is in the store already: it died while it drained."""
    first = Node(await open_store(url, IMPATIENT), tmp_path)
    author = Author(first.store, video)
    cassandra.send_signal(signal.SIGSTOP)
    try:
        await author.say(60)
        await first.stop()
    finally:
        cassandra.send_signal(signal.SIGCONT)
    history = await open_store(url)
    await history.append(author.taken[:30])
    second = Node(history, tmp_path)
    assert second.visibility.hidden == [author.taken[0].id]
    await second.wait_drained()
    assert (await history.newer(video, 0, 1_000)).comments == author.taken
    await second.stop()


async def test_of_two_comments_of_a_key_one_stands_when_it_goes_on(
    cassandra: CassandraUnderTest, url: str, video: str, tmp_path: Path
) -> None:
    """Each key is used at two nodes while Cassandra is stuck. What was on its way there may be done all the same."""
    histories = [await open_store(url, IMPATIENT) for _ in range(2)]
    lost: list[Lost] = []

    async def withdraw(one: Lost | Taken) -> None:
        assert isinstance(one, Lost)
        lost.append(one)
        change_id = ids.next(wall_ms())
        await histories[0].apply([Change(change_id, video, ERASED, target_id=one.comment.id)])

    ids = IdSource(9)
    nodes = [Node(each, tmp_path / f"{n}", withdraw=withdraw) for n, each in enumerate(histories)]
    await nodes[0].store.append_claimed([_keyed(a_comment(ids.next(wall_ms()), video), "before")], wall_ms(), 60_000)
    posted: dict[int, str] = {}
    cassandra.send_signal(signal.SIGSTOP)
    try:
        for n in range(20):
            for node in nodes:
                comment = a_comment(ids.next(wall_ms()), video)
                posted[comment.id] = f"key {n}"
                await node.store.append_claimed([_keyed(comment, posted[comment.id])], wall_ms(), 60_000)
    finally:
        cassandra.send_signal(signal.SIGCONT)
    await asyncio.gather(*(node.wait_drained() for node in nodes))
    (before, *standing) = (await histories[1].newer(video, 0, 1_000)).comments
    assert before.id not in posted
    assert sorted(posted[each.id] for each in standing) == sorted(set(posted.values()))
    assert {one.comment.id for one in lost} == posted.keys() - {each.id for each in standing}
    for node in nodes:
        await node.stop()


def _keyed(comment: Comment, key: str) -> Claimed:
    digest = comment.message.encode()
    return comment, Claim(comment.author.id, comment.video_id, key, comment.id, comment.created_at_ms, digest)
