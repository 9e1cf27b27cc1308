"""schema.cql as versions: an older keyspace is brought up to date, a newer one is left alone"""

from string import Template

import pytest

from history.cassandra.schema import SchemaTooNew, is_usable, tables, versions
from history.cassandra.session import CassandraSession
from history.config import StoreSettings
from history.opening import CassandraUrl, open_store, parse_store_url
from tests.cassandra_fixture import CassandraUnderTest
from tests.history.comments import a_comment


def test_every_statement_can_be_run_again() -> None:
    needed, *steps = versions()
    assert len(needed) == 2
    assert len(steps) >= 2
    for statement in (statement for step in (needed, *steps) for statement in step):
        assert "IF NOT EXISTS" in statement


def test_every_table_has_an_id_of_its_own() -> None:
    text = "\n".join(statement for step in versions() for statement in step)
    assert len(set(tables())) == len(tables())
    for table in tables():
        assert text.count(f"${table}_id") == 1


async def session_of(url: str) -> tuple[CassandraSession, str]:
    parsed = parse_store_url(url)
    assert isinstance(parsed, CassandraUrl)
    return await CassandraSession.connect(parsed.hosts, parsed.port, StoreSettings()), parsed.keyspace


async def test_a_newer_keyspace_is_left_alone(cassandra: CassandraUnderTest) -> None:
    url = cassandra.new_url()
    session, keyspace = await session_of(url)
    for statement in versions()[0]:
        names = {
            "keyspace": keyspace,
            "replication": "{'class': 'SimpleStrategy', 'replication_factor': 1}",
            "schema_versions_id": "a3f1c0de-0c5a-4c4e-9d3b-6c1f4f2b7e11",
        }
        await session.execute_schema(Template(statement).substitute(names), 30_000)
    await session.execute(f"INSERT INTO {keyspace}.schema_versions (name, version) VALUES ('schema', 99)")
    with pytest.raises(SchemaTooNew, match="version 99"):
        await open_store(url)
    assert not await is_usable(session, keyspace, "comments")
    await session.close()


async def test_a_keyspace_of_version_1_is_brought_up_to_date(cassandra: CassandraUnderTest) -> None:
    """As a store left it that knew no versions: its tables, and no row that says so"""
    url = cassandra.new_url()
    store = await open_store(url)
    await store.append([a_comment(1)])
    await store.close()
    session, keyspace = await session_of(url)
    for table in ("erased", "nodes", "schema_versions"):  # three of twelve: each takes a second
        await session.execute_schema(f"DROP TABLE {keyspace}.{table}", 30_000)
    again = await open_store(url)
    assert await again.older("video", None, 10) == [a_comment(1)]
    await again.erase("video", [1])
    assert await again.older("video", None, 10) == []
    assert await session.execute(f"SELECT version FROM {keyspace}.schema_versions") == [(1,), (2,), (3,), (4,)]
    await again.close()
    await session.close()
