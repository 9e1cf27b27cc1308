"""CassandraStore keeps the contracts on a real Cassandra, also when the node is killed, stuck, or missing."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence

import pytest
import pytest_asyncio
from cassandra.query import Statement

from history.cassandra import store as cassandra_store
from history.cassandra.session import Row
from history.cassandra.store import BUCKETS_LIMIT, CassandraStore
from history.cassandra.tables import bucket_of
from history.config import BUCKET_KNOWN_MS, BUCKET_MS, StoreSettings
from history.core.ids import first_id_at, parse_id
from history.opening import open_reader, open_store
from history.store import History, Store, StoreUnavailable
from tests.cassandra_fixture import CassandraUnderTest
from tests.history.claims_contract import ClaimsContract
from tests.history.comments import START_MS, a_comment, comments_every
from tests.history.contract import StoreContract, read_on, scroll_back, video
from tests.history.double_ids_contract import DoubleIdsContract
from tests.history.moderating_contract import ModeratingContract
from tests.history.notices_contract import NoticesContract
from tests.history.programs import program
from tests.history.videos_contract import VideosContract
from tests.waiting import eventually

__all__ = ["video"]

ROUND_TRIP_S_MAX = 60


@pytest.fixture(scope="module")
def new_url(cassandra: CassandraUnderTest) -> Callable[[], str]:
    return cassandra.new_url


@pytest.fixture(scope="module")
def url(cassandra_url: str) -> str:
    return cassandra_url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def store(url: str) -> AsyncIterator[History]:
    store = await open_store(url)
    yield store
    await store.close()


async def open_with(url: str, settings: StoreSettings) -> CassandraStore:
    store = await open_store(url, settings)
    assert isinstance(store, CassandraStore)
    return store


async def append_when_it_is_back(store: Store, video_id: str) -> None:
    async def appended() -> bool:
        try:
            await store.append([a_comment(1, video_id)])
        except StoreUnavailable:
            return False
        return True

    await eventually(appended, ROUND_TRIP_S_MAX)


class TestCassandraContract(
    StoreContract, ModeratingContract, NoticesContract, VideosContract, ClaimsContract, DoubleIdsContract
):
    pass


def test_a_bucket_begins_and_ends_with_its_time() -> None:
    for bucket in (0, 1, 2_933_333):
        first = first_id_at(bucket * BUCKET_MS)
        assert bucket_of(first) == bucket
        assert bucket_of(max(0, first - 1)) == max(0, bucket - 1)


async def test_a_statement_is_prepared_once(url: str) -> None:
    store = await open_with(url, StoreSettings())
    cql = "SELECT id FROM $keyspace.videos WHERE id = ?"
    assert await store._tables.statement(cql) is await store._tables.statement(cql)
    assert await store._tables.run(cql, "no-such-video") == []
    await store.close()


async def test_buckets_without_comments_are_passed_over(url: str, video: str) -> None:
    """They stand in the table when the comments' write failed."""
    store = await open_with(url, StoreSettings())
    comments = comments_every(BUCKET_MS * (BUCKETS_LIMIT + 2), 3, video)
    await store.append(comments)
    for n in range(BUCKETS_LIMIT * 3):
        await store._register([(video, bucket_of(comments[0].id) + n)])
    assert await scroll_back(store, video, 2) == comments[::-1]
    assert await read_on(store, video, 2) == comments
    await store.close()


async def test_no_page_walks_through_buckets_whose_comments_have_expired(
    url: str, video: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A year of a channel that is never off, with comments that are kept for a day: 53,000 requests for a page"""
    monkeypatch.setattr(cassandra_store, "BUCKET_KNOWN_MS", 1)
    store = await open_with(url, StoreSettings(comments_keep_s=1))
    await store.append(comments_every(BUCKET_MS, 3 * BUCKETS_LIMIT, video))
    execute, requests = store._tables.session.execute, [0]

    async def counting(statement: Statement, parameters: Sequence[object] | None = None) -> list[Row]:
        requests[0] += 1
        return await execute(statement, parameters)

    async def none_left() -> bool:
        requests[0] = 0
        return (await store.older(video, None, 10)).comments == [] and requests[0] == 1

    monkeypatch.setattr(store._tables.session, "execute", counting)
    await eventually(none_left)
    await store.close()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_a_bucket_is_there_for_as_long_as_any_process_needs_it(
    url: str, video: str, monkeypatch: pytest.MonkeyPatch, order: tuple[int, int]
) -> None:
    monkeypatch.setattr(cassandra_store, "BUCKET_KNOWN_MS", 1)
    brief = await open_with(url, StoreSettings(comments_keep_s=1))
    for keep_s in order:
        store = await open_with(url, StoreSettings(comments_keep_s=keep_s))
        await store.append([a_comment(1 + keep_s, video)])
        await store.close()
    await brief.append([a_comment(9, f"{video}-brief")])

    async def is_over() -> bool:
        cql = "SELECT bucket FROM $keyspace.buckets WHERE video_id = ?"
        return await brief._tables.run(cql, f"{video}-brief") == []

    await eventually(is_over)
    assert (await brief.older(video, None, 10)).comments == [a_comment(1, video)]
    await brief.close()


async def test_a_bucket_that_takes_comments_for_long_is_registered_again(
    url: str, video: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await open_with(url, StoreSettings(comments_keep_s=3_600))
    registered: list[object] = []
    run = store._tables.run

    async def noting(cql: str, *parameters: object) -> list[Row]:
        registered.extend(parameters[:1] if cql == cassandra_store.INSERT_BUCKET else ())
        return await run(cql, *parameters)

    monkeypatch.setattr(store._tables, "run", noting)
    now_ms = 1_000 * BUCKET_KNOWN_MS
    monkeypatch.setattr(cassandra_store, "monotonic_ms", lambda: now_ms)
    for later_ms in (0, BUCKET_KNOWN_MS - 1, 1):
        now_ms += later_ms
        await store.append([a_comment(1 + later_ms, video)])
    assert registered == [video] * 2
    await store.close()


async def test_buckets_that_are_no_longer_known_are_registered_again(url: str, video: str) -> None:
    store = await open_with(url, StoreSettings(cassandra_known_buckets_max=3))
    comments = comments_every(BUCKET_MS, 10, video)
    for comment in comments + comments:
        await store.append([comment])
        assert len(store._known_buckets) <= 3
    assert (await store.newer(video, 0, 100)).comments == comments
    await store.close()


async def test_batches_stay_below_the_limit_and_within_a_partition(url: str, video: str) -> None:
    store = await open_with(url, StoreSettings(cassandra_batch_bytes_max=5000))
    comments = [a_comment(first_id_at(START_MS) + n, video, "x" * (n * 37 % 2000)) for n in range(100)]
    batches = list(store._batches((video, bucket_of(comments[0].id)), comments))
    assert sum(len(batch) for batch in batches) == 100
    for batch in batches:
        values = [value for _, _, row in batch._statements_and_parameters for value in row if value is not None]
        assert sum(len(value) for value in values) <= 5000
        assert batch.routing_key is not None  # goes straight to a replica
        assert batch.is_idempotent
    await store.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
async def test_no_cassandra_is_said_at_once(host: str) -> None:
    with socket.socket() as nobody:  # bound but not listening: refuses
        nobody.bind(("127.0.0.1", 0))
        url = f"cassandra://{host}:{nobody.getsockname()[1]}/comments"
        with pytest.raises(StoreUnavailable, match=f"Cassandra at {host}"):
            await open_store(url)
        with pytest.raises(StoreUnavailable, match=f"Cassandra at {host}"):
            await open_reader(url)


async def test_a_cancelled_request_leaves_the_store_usable(url: str, video: str) -> None:
    store = await open_store(url)
    appending = asyncio.create_task(store.append(comments_every(1, 1000, video)))
    await asyncio.sleep(0)
    appending.cancel()
    await asyncio.wait([appending])
    await store.append([a_comment(1, video)])
    assert (await store.newer(video, 0, 1)).comments == [a_comment(1, video)]
    await store.close()


async def test_closed_is_unavailable(url: str, video: str) -> None:
    store = await open_store(url)
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.append([a_comment(1, video)])
    with pytest.raises(StoreUnavailable):
        await store.older(video, None, 1)


async def test_a_node_that_is_stuck_is_unavailable_in_time(cassandra: CassandraUnderTest, url: str, video: str) -> None:
    store = await open_with(url, StoreSettings(cassandra_request_timeout_ms=300))
    cassandra.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(StoreUnavailable, match=r"[Tt]ime"):
            await store.append([a_comment(1, video)])
        with pytest.raises(StoreUnavailable):
            await store.check()
    finally:
        cassandra.send_signal(signal.SIGCONT)
    await append_when_it_is_back(store, video)
    assert (await store.older(video, None, 10)).comments == [a_comment(1, video)]
    await store.close()


async def test_acknowledged_comments_survive_kill_9_of_the_only_node(
    cassandra: CassandraUnderTest, url: str, video: str
) -> None:
    survivor = await open_store(url)
    acknowledged: list[int] = []
    async with program("write", url, video, "1000000") as writer:
        assert writer.stdout is not None
        async for line in writer.stdout:
            acknowledged.append(parse_id(line.strip().decode()))
            if len(acknowledged) == 500:
                await asyncio.to_thread(cassandra.kill)
    assert len(acknowledged) >= 500
    with pytest.raises(StoreUnavailable, match="Cassandra: "):
        await survivor.check()
    await asyncio.to_thread(cassandra.start)
    await append_when_it_is_back(survivor, f"{video}-after")  # by itself, without being opened again
    stored = [comment.id for comment in (await survivor.newer(video, 0, len(acknowledged) + 10)).comments]
    assert stored[: len(acknowledged)] == acknowledged
    await survivor.close()
