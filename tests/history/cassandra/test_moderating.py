"""Moderating on a real Cassandra: no tombstones, nothing left on the disk, and nothing that comes back by another way.
What every store promises is in moderating_contract.py."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from history.cassandra.store import CassandraStore
from history.cassandra.tables import bucket_of
from history.clocks import wall_ms
from history.core.ids import ID_MAX, first_id_at
from history.core.late import ALL_VIDEOS
from history.core.model import AUTHOR_PURGED, ERASED, HIDDEN, Author, Change, Comment, Gone
from history.core.purges import Purge, author_hash
from history.opening import open_reader, open_store
from tests.cassandra_fixture import CassandraUnderTest
from tests.history.comments import START_MS, a_comment, comments_every
from tests.history.contract import read_on, scroll_back, video
from tests.history.moderating_contract import all_of, change, purge, said_by
from tests.waiting import eventually

__all__ = ["video"]

pytestmark = pytest.mark.timeout(240)

MANY = 3_000
"""In one bucket: three times the tombstones at which a server warns by default (`tombstone_warn_threshold`).
`scripts/bench history --only erased` erases 100,000, the number at which it fails (`tombstone_failure_threshold`)."""


@pytest.fixture(scope="module")
def url(shared_cassandra_url: str) -> str:
    return shared_cassandra_url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def store(url: str) -> AsyncIterator[CassandraStore]:
    store = await open_store(url)
    assert isinstance(store, CassandraStore)
    yield store
    await store.close()


def warnings_of(cassandra: CassandraUnderTest) -> list[str]:
    return [line for line in cassandra.log().splitlines() if "tombstone" in line and not line.startswith("INFO")]


async def leave_uncompressed(store: CassandraStore) -> None:
    """What is written from now on stands in the files as it is. Compressed, a text is there and can't be found whenever
    four of its characters have been written before."""
    tables = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = '$keyspace'"
    for (table,) in await store._tables.run(tables):
        await store._tables.run(f"ALTER TABLE $keyspace.{table} WITH compression = {{'enabled': false}}")


@pytest.mark.asyncio(loop_scope="module")
class TestCassandraModerating:
    async def test_many_erased_comments_are_no_tombstones(
        self, store: CassandraStore, url: str, video: str, cassandra: CassandraUnderTest
    ) -> None:
        before, after = (a_comment(first_id_at(START_MS + add_ms), video) for add_ms in (-1, MANY * 100))
        erased = comments_every(100, MANY, video)
        await store.append([before, *erased, after])
        await store.apply([Change(each.id + 1, video, ERASED, each.id) for each in erased])
        reader = await open_reader(url)
        warned = warnings_of(cassandra)
        for flushed in (False, True):
            if flushed:
                await asyncio.to_thread(cassandra.nodetool, "flush")
            assert await scroll_back(store, video, 10) == [after, before]
            assert await read_on(store, video, 10) == [before, after]
            seed = await reader.events_before(video, None, MANY)
            assert [type(each) for each in seed[1:]] == ([Change, Gone] * MANY)[: MANY - 1]
            assert len(await reader.events(video, erased[MANY // 2].id, 500)) == 500
        assert warnings_of(cassandra) == warned
        # The warning would be seen: the same comments deleted.
        delete = "DELETE FROM $keyspace.comments WHERE video_id = ? AND bucket = ? AND id = ?"
        await store._tables.run_batches(delete, [[(video, bucket_of(each.id), each.id)] for each in erased])
        await reader.events_before(video, None, MANY + 1_000)
        assert len(warnings_of(cassandra)) > len(warned)
        await reader.close()

    async def test_what_is_erased_is_gone_from_the_disk(self, cassandra: CassandraUnderTest, video: str) -> None:
        url = cassandra.new_url()
        store = await open_store(url)
        assert isinstance(store, CassandraStore)
        await leave_uncompressed(store)
        text, name, other = (uuid.uuid4().hex for _ in range(3))
        comments = [Comment(first_id_at(START_MS + n), video, Author(name, name), text, START_MS) for n in range(2)]
        await store.append([*comments, a_comment(first_id_at(START_MS + 9), video, other)])
        await asyncio.to_thread(cassandra.nodetool, "flush")
        assert text.encode() in cassandra.sstables(url)
        await store.apply([change(ERASED, comments[0])])
        order = purge(name, None, comments[1].id)
        await store.begin_purge(order)
        async for of_video, ids in store.comments_of(name, None, 0, order.up_to_id):
            await store.erase(of_video, ids)
        await store.end_purge(order)
        await asyncio.to_thread(cassandra.nodetool, "flush")
        keyspace = url.rpartition("/")[2]
        await asyncio.to_thread(cassandra.nodetool, "garbagecollect", "-g", "CELL", keyspace)
        left = cassandra.sstables(url)
        assert text.encode() not in left
        assert other.encode() in left
        assert author_hash(name) in left
        await store.close()

    async def test_what_was_on_its_way_at_a_purge_is_not_shown_and_found_by_the_next_look(
        self, store: CassandraStore, url: str, video: str
    ) -> None:
        """A write that timed out, and is done later: no append, and so nobody looks whether its author is barred."""
        now_ms = wall_ms()
        late = said_by("ann", video, 1, start_ms=now_ms)
        await store.begin_purge(purge("ann", video, late[0].id))
        other = await open_store(url)  # knows nothing of it
        assert isinstance(other, CassandraStore)
        await asyncio.gather(
            other._register([(video, bucket_of(late[0].id))]),
            other._register_authors([("ann", video)]),
            *(other._tables.session.execute(batch) for batch in other._batches((video, bucket_of(late[0].id)), late)),
        )
        assert await read_on(other, video, 10) == late
        assert await read_on(store, video, 10) == []
        await other.purges(wall_ms())
        assert await read_on(other, video, 10) == []
        assert await all_of(store, "ann", video) == {(video, late[0].id)}
        await other.close()

    async def test_what_was_half_written_before_a_purge_is_gone_once_its_spool_is_drained(
        self, store: CassandraStore, url: str, video: str
    ) -> None:
        """Its append has failed where the author is registered, or was killed: no look finds the comment. It waits in
        the spool of that process."""
        ann, partition = f"ann-{video}", (video, bucket_of(START_MS << 16))
        (said,) = said_by(ann, video, 1)
        await store._register([partition])
        await asyncio.gather(*map(store._tables.session.execute, store._batches(partition, [said])))
        assert await read_on(store, video, 10) == [said]
        await store.begin_purge(purge(ann, None, said.id))
        assert await all_of(store, ann, None) == set()
        other = await open_store(url)  # knows nothing of the purge, as any process half a day later
        await other.append([said])
        assert await read_on(other, video, 10) == []
        assert await other.events(video, 0, 10) == [Gone(said.id, video)]
        await other.close()

    async def test_a_change_whose_event_was_lost_is_repeated(self, store: CassandraStore, video: str) -> None:
        """The process died between the state and the event; the operator sends the order again."""
        (comment,) = comments_every(1, 1, video)
        await store.append([comment])
        hidden = change(HIDDEN, comment)
        moderating = store.apply.__self__  # type: ignore[attr-defined]
        await moderating._set_states([hidden])
        assert await store.events(video, 0, 9) == [Gone(comment.id, video)]
        again = change(HIDDEN, comment)
        await store.apply([again])
        assert await store.events(video, 0, 9) == [Gone(comment.id, video), again]

    async def test_an_event_names_an_author_for_a_time(self, store: CassandraStore, video: str) -> None:
        event = Change(first_id_at(wall_ms()), video, AUTHOR_PURGED, author_id="ann", up_to_id=7)
        await store.apply([event])
        ttl = "SELECT TTL(author_id), TTL(kind) FROM $keyspace.comments WHERE video_id = ? AND bucket = ? AND id = ?"
        ((left_s, kind_left_s),) = await store._tables.run(ttl, video, bucket_of(event.id), event.id)
        assert 86_000 < left_s <= 86_400
        assert kind_left_s is None

    async def test_marks_of_earlier_releases_are_honoured(self, cassandra: CassandraUnderTest, video: str) -> None:
        url = cassandra.new_url()
        old = await open_store(url)
        assert isinstance(old, CassandraStore)
        erased, barred, kept = (
            said_by(name, video, 1, start_ms=START_MS + n)[0] for n, name in enumerate(("ann", "bob", "cid"))
        )
        mark = "INSERT INTO $keyspace.erased (video_id, bucket, id) VALUES (?, ?, ?)"
        await old._tables.run(mark, video, bucket_of(erased.id), erased.id)
        bar = "INSERT INTO $keyspace.barred_authors (author_id, video_id, up_to_id) VALUES (?, ?, ?)"
        await old._tables.run(bar, "bob", ALL_VIDEOS, barred.id)
        await old.close()
        store = await open_store(url)
        await store.append([erased, barred, kept])
        assert await read_on(store, video, 10) == [kept]
        await store.close()

    @pytest.mark.parametrize("everywhere", [True, False])
    async def test_after_a_purge_nothing_leads_to_his_videos(
        self, store: CassandraStore, video: str, everywhere: bool
    ) -> None:
        ann = f"ann-{video}-{everywhere}"
        said = said_by(ann, video, 2)
        await store.append(said)
        order = Purge(first_id_at(wall_ms()), ann, ALL_VIDEOS if everywhere else video, ID_MAX >> 1)
        await store.begin_purge(order)
        await store.erase(video, [each.id for each in said])
        videos = "SELECT video_id FROM $keyspace.videos_by_author WHERE author_id = ?"
        assert await store._tables.run(videos, ann) == [(video,)]
        await store.end_purge(order)

        async def is_forgotten() -> bool:
            return await store._tables.run(videos, ann) == []

        await eventually(is_forgotten)
