"""Statements are prepared once; a bucket is a stretch of an id's time"""

from history.cassandra.store import CassandraStore
from history.cassandra.tables import bucket_of
from history.config import BUCKET_MS
from history.core.ids import first_id_at
from history.opening import open_store


def test_a_bucket_begins_and_ends_with_its_time() -> None:
    for bucket in (0, 1, 2_933_333):
        first = first_id_at(bucket * BUCKET_MS)
        assert bucket_of(first) == bucket
        assert bucket_of(max(0, first - 1)) == max(0, bucket - 1)


async def test_a_statement_is_prepared_once(shared_cassandra_url: str) -> None:
    store = await open_store(shared_cassandra_url)
    assert isinstance(store, CassandraStore)
    cql = "SELECT id FROM $keyspace.videos WHERE id = ?"
    assert await store._statement(cql) is await store._statement(cql)
    assert await store._run(cql, "no-such-video") == []
    await store.close()
