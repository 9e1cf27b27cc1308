"""Brings a keyspace to the version of schema.cql. Any number of processes may do so at the same time, and any of them
may be killed in the middle: every statement can be run again, and a version is recorded once all of it is there.

While several processes make the same tables, a request of one of them can meet a table that is half made:
- "unconfigured table": it isn't there yet. It counts as missing (UnknownTable).
- A server error, java.lang.IllegalArgumentException "Unknown CF": the node has the table's definition and hasn't
  opened its files yet (Cassandra 5.0.8, Keyspace.getColumnFamilyStore). The request is repeated (ServerFailed).
- A statement returns although another process's same one isn't finished. So the tables are probed at the end.
"""

import asyncio
import re
import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from string import Template
from typing import TypeVar

import structlog
from cassandra.query import SimpleStatement

from history.cassandra.session import CassandraSession, ServerFailed, UnknownTable
from history.clocks import monotonic_ms
from history.config import StoreSettings
from history.store import StoreRefuses, StoreUnavailable

SCHEMA = Path(__file__).with_name("schema.cql")
TABLE_IDS = uuid.UUID("a3f1c0de-0c5a-4c4e-9d3b-6c1f4f2b7e10")  # any fixed one
REPLICAS_MAX = 3
SETTLE_POLL_S = 0.05

T = TypeVar("T")

_VERSION = re.compile(r"^-- VERSION \d+$", re.MULTILINE)
_TABLE = re.compile(r"CREATE TABLE IF NOT EXISTS \$keyspace\.(\w+)")

_log = structlog.stdlib.get_logger()


class SchemaTooNew(StoreRefuses):
    """A newer release has made the keyspace."""


def versions() -> list[list[str]]:
    """The statements of schema.cql: what every version needs, then version 1, 2, ..."""
    return [
        [statement.strip() for statement in _without_comments(part).split(";") if statement.strip()]
        for part in _VERSION.split(SCHEMA.read_text())
    ]


def tables() -> list[str]:
    """In the order in which they are made"""
    return _TABLE.findall(SCHEMA.read_text())


async def migrate(session: CassandraSession, keyspace: str, settings: StoreSettings) -> None:
    """Returns when all tables of this release's version can be used. Raises SchemaTooNew, StoreUnavailable."""
    needed, *steps = versions()
    seen = await _settled(lambda: _version(session, keyspace), settings)
    if seen > len(steps):
        raise SchemaTooNew(f"Cassandra: {keyspace} has version {seen}; this release knows {len(steps)}")
    if seen == len(steps):
        return
    datacenter, nodes = session.local_datacenter()
    names = {
        "keyspace": keyspace,
        "replication": f"{{'class': 'NetworkTopologyStrategy', '{datacenter}': {min(nodes, REPLICAS_MAX)}}}",
        **{f"{table}_id": str(uuid.uuid5(TABLE_IDS, f"{keyspace}.{table}")) for table in tables()},
    }
    timeout_ms = settings.cassandra_schema_timeout_ms
    for statement in (*needed, *(statement for step in steps[seen:] for statement in step)):
        change = partial(session.execute_schema, Template(statement).substitute(names), timeout_ms)
        await _settled(change, settings)
    await _wait_until_usable(session, keyspace, settings)
    for version in range(seen + 1, len(steps) + 1):
        row = f"INSERT INTO {keyspace}.schema_versions (name, version) VALUES ('schema', {version})"  # noqa: S608
        await _settled(partial(session.execute, SimpleStatement(row, is_idempotent=True)), settings)
    _log.info("schema_made", store="cassandra", keyspace=keyspace, version=len(steps))


async def is_usable(session: CassandraSession, keyspace: str, table: str, where: str = "") -> bool:
    """Asks the table. (system_schema lists tables already while they are being made, and for a statement that can't be
    prepared the driver logs a traceback.)"""
    probe = f"SELECT * FROM {keyspace}.{table} {where} LIMIT 1"  # noqa: S608
    try:
        await session.execute(SimpleStatement(probe, is_idempotent=True))
    except UnknownTable:
        return False
    return True


async def _version(session: CassandraSession, keyspace: str) -> int:
    newest = f"SELECT version FROM {keyspace}.schema_versions WHERE name = 'schema'"  # noqa: S608
    try:
        rows = await session.execute(SimpleStatement(newest, is_idempotent=True))
    except UnknownTable:
        return 0
    return max((version for (version,) in rows), default=0)


async def _wait_until_usable(session: CassandraSession, keyspace: str, settings: StoreSettings) -> None:
    """Another process that is making the same tables makes ours return before they are ready."""
    end_ms = monotonic_ms() + settings.cassandra_settle_ms
    for table in tables():
        while not await _settled(partial(is_usable, session, keyspace, table), settings):
            if monotonic_ms() > end_ms:
                raise StoreUnavailable(f"Cassandra: the table {keyspace}.{table} was made and is not there")
            await asyncio.sleep(SETTLE_POLL_S)


async def _settled(request: Callable[[], Awaitable[T]], settings: StoreSettings) -> T:
    """The request's result. Repeats it after a server error, for `cassandra_settle_ms` at most; then raises that."""
    end_ms = monotonic_ms() + settings.cassandra_settle_ms
    while True:
        try:
            return await request()
        except ServerFailed:
            if monotonic_ms() > end_ms:
                raise
        await asyncio.sleep(SETTLE_POLL_S)


def _without_comments(cql: str) -> str:
    return "\n".join(line.partition("--")[0] for line in cql.splitlines())
