"""schema.cql as versions: an older keyspace is brought up to date, a newer one is left alone"""

from string import Template
from types import SimpleNamespace
from typing import Any

import pytest
from cassandra import InvalidRequest, ReadFailure
from cassandra.cluster import NoHostAvailable
from cassandra.connection import ConnectionException
from cassandra.protocol import ServerError

from history.cassandra.schema import SchemaTooNew, is_usable, migrate, tables, versions
from history.cassandra.session import CassandraSession
from history.config import StoreSettings
from history.opening import CassandraUrl, open_store, parse_store_url
from history.store import StoreUnavailable
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


UNREADY = ServerError(0, "java.lang.IllegalArgumentException: Unknown CF 6f434c5b-af6a-5e24-9122-a1f2afd3a7c9", None)
NO_HOST = "Unable to complete the operation against any hosts"


class Driver:
    """Stands for the driver's Cluster and Session, before a keyspace that is empty and gets all it is sent. It answers
    at once, and repeats nothing by itself: of the real one's retries only the last error is here."""

    def __init__(self, fails_at: str, error: Exception, times: int) -> None:
        """The first so many statements with these words fail."""
        self._fails_at, self._error, self._left = fails_at, error, times
        self.statements: list[str] = []
        self.connection_class = SimpleNamespace(on_loop=lambda call, outcome: call(outcome), refusals={})
        self.metadata = SimpleNamespace(all_hosts=lambda: [self.get_control_connection_host()])

    def get_control_connection_host(self) -> Any:
        return SimpleNamespace(datacenter="dc1", endpoint="here")

    def execute_async(self, statement: Any, _: None, **options: float) -> Any:
        cql = getattr(statement, "query_string", statement)
        self.statements.append(cql)
        outcome: list[object] | Exception = []
        if self._left and self._fails_at in cql:
            self._left -= 1
            outcome = self._error
        elif cql.startswith("SELECT version"):
            outcome = InvalidRequest("unconfigured table schema_versions")
        return SimpleNamespace(add_callbacks=lambda callback, errback: callback(outcome))

    async def migrate(self, settings: StoreSettings) -> None:
        await migrate(CassandraSession(self, self, settings), "k", settings)

    def count(self, words: str) -> int:
        return sum(words in cql for cql in self.statements)


@pytest.mark.parametrize("error", [NoHostAvailable(NO_HOST, {"host": UNREADY}), UNREADY, ReadFailure("failed")])
@pytest.mark.parametrize(
    "fails_at",
    [
        "SELECT version",
        "CREATE KEYSPACE",
        "EXISTS k.comments",
        "SELECT * FROM k.comments",
        "INSERT INTO k.schema_versions",
    ],
)
async def test_a_server_error_beside_others_who_make_the_schema_is_tried_again(fails_at: str, error: Exception) -> None:
    driver, undisturbed = Driver(fails_at, error, times=1), Driver("", error, times=0)
    for each in (driver, undisturbed):
        await each.migrate(StoreSettings())
    assert driver.count(fails_at) == undisturbed.count(fails_at) + 1
    assert [
        cql for n, cql in enumerate(driver.statements) if cql not in driver.statements[:n]
    ] == undisturbed.statements
    assert undisturbed.count("INSERT INTO k.schema_versions") == len(versions()) - 1


async def test_a_server_error_that_stays_is_raised_after_the_time_to_settle() -> None:
    driver = Driver("EXISTS k.comments", UNREADY, times=1_000_000)
    with pytest.raises(StoreUnavailable, match="Unknown CF"):
        await driver.migrate(StoreSettings(cassandra_settle_ms=0))


@pytest.mark.parametrize(
    "error",
    [NoHostAvailable(NO_HOST, {"host": ConnectionException("Pool is shutdown")}), InvalidRequest("no such thing")],
)
async def test_an_error_that_time_does_not_mend_is_raised_at_once(error: Exception) -> None:
    driver = Driver("EXISTS k.comments", error, times=1)
    with pytest.raises(StoreUnavailable):
        await driver.migrate(StoreSettings())
    assert driver.count("EXISTS k.comments") == 1


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
    for table in ("erased", "nodes", "schema_versions"):  # three of fifteen: each takes a second
        await session.execute_schema(f"DROP TABLE {keyspace}.{table}", 30_000)
    again = await open_store(url)
    assert (await again.older("video", None, 10)).comments == [a_comment(1)]
    await again.erase("video", [1])
    assert (await again.older("video", None, 10)).comments == []
    assert await session.execute(f"SELECT version FROM {keyspace}.schema_versions") == [(n,) for n in range(1, 8)]
    await again.close()
    await session.close()
