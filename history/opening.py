"""Opens the store that a URL names. A driver is imported only when it is used: importing Cassandra's takes a while."""

import re
from dataclasses import dataclass
from pathlib import Path

from history.config import StoreSettings
from history.store import History, NodeReader

STORE_HELP = "sqlite:PATH or cassandra://HOST[,HOST...][:PORT]/KEYSPACE"

CASSANDRA_PORT = 9042

_CASSANDRA = re.compile(
    r"cassandra://(?P<hosts>[A-Za-z0-9_.-]+(,[A-Za-z0-9_.-]+)*)(:(?P<port>[0-9]{1,5}))?/(?P<keyspace>[a-z][a-z0-9_]{0,47})"
)


class InvalidStoreUrl(ValueError):
    def __init__(self, url: str) -> None:
        super().__init__(f"{url[:200]!r} names no store: {STORE_HELP}")


@dataclass(frozen=True, slots=True)
class SqliteUrl:
    path: Path


@dataclass(frozen=True, slots=True)
class CassandraUrl:
    hosts: tuple[str, ...]
    port: int
    keyspace: str  # lower-case letters, digits and _, at most 48: needs no quotes in CQL


def parse_store_url(url: str) -> SqliteUrl | CassandraUrl:
    """Raises InvalidStoreUrl. Opens nothing."""
    if url.startswith("sqlite:"):
        path = url.removeprefix("sqlite:")
        # ":memory:" and the like: each connection would have a store of its own.
        if not path or path.startswith(":") or "\0" in path:
            raise InvalidStoreUrl(url)
        return SqliteUrl(Path(path))
    match = _CASSANDRA.fullmatch(url)
    if match is None or not 0 < (port := int(match["port"] or CASSANDRA_PORT)) < 65536:
        raise InvalidStoreUrl(url)
    return CassandraUrl(tuple(match["hosts"].split(",")), port, match["keyspace"])


async def open_store(url: str, settings: StoreSettings | None = None) -> History:
    """For writing and reading; makes the schema where it is missing. Raises InvalidStoreUrl, StoreUnavailable.

    A Cassandra that is away raises within `cassandra_connect_timeout_ms` for each host; the caller tries again.
    """
    settings = settings or StoreSettings()
    match parse_store_url(url):
        case SqliteUrl(path):
            from history.sqlite.store import SqliteStore

            return await SqliteStore.open(path, settings)
        case CassandraUrl(hosts, port, keyspace):
            from history.cassandra.session import CassandraSession
            from history.cassandra.store import CassandraStore

            session = await CassandraSession.connect(hosts, port, settings)
            try:
                return await CassandraStore.open(session, keyspace, settings)
            except BaseException:
                await session.close()
                raise


async def open_reader(url: str, settings: StoreSettings | None = None) -> NodeReader:
    """For reading only. Works before a writer has made the schema: an empty history. Raises as `open_store` does."""
    settings = settings or StoreSettings()
    match parse_store_url(url):
        case SqliteUrl(path):
            from history.sqlite.file import ReadFile
            from history.sqlite.store import SqliteReader

            return SqliteReader(ReadFile(path, settings), settings)
        case CassandraUrl(hosts, port, keyspace):
            from history.cassandra.session import CassandraSession
            from history.cassandra.store import CassandraReader
            from history.cassandra.tables import CassandraTables

            session = await CassandraSession.connect(hosts, port, settings)
            return CassandraReader(CassandraTables(session, keyspace), settings)
