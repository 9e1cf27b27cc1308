"""Comments/s that become durable in Cassandra: the write path's batches, beside the driver's way with single inserts.

Both in this process, one after the other, into the same tables, with the same consistency, until each is acknowledged.
No HTTP here: history_http.py has the whole way.
"""

import asyncio
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from cassandra import ConsistencyLevel
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.concurrent import execute_concurrent_with_args

from history.cassandra.batches import INSERT_COMMENT, written_us
from history.cassandra.session import PROTOCOL_VERSION
from history.cassandra.tables import bucket_of
from history.core.ids import IdSource
from history.core.model import Author, Comment
from history.group_commit import GroupCommit
from history.opening import CassandraUrl, open_store, parse_store_url
from history.store import Store
from scripts.benches.history_config import HistorySettings

VIDEO = "bench"


@dataclass(frozen=True, slots=True)
class Rate:
    per_s: float
    cpu_us: float  # of this process, for one comment


class Both:
    """A store, and a session of the driver as it comes, with the store's consistency, for the same tables"""

    def __init__(self, store: Store, cluster: Cluster, keyspace: str) -> None:
        self._store = store
        self._cluster = cluster
        self._keyspace = keyspace

    @classmethod
    async def open(cls, url: str) -> "Both":
        """Makes the tables. Raises StoreUnavailable."""
        names = parse_store_url(url)
        assert isinstance(names, CassandraUrl)
        profile = ExecutionProfile(consistency_level=ConsistencyLevel.LOCAL_QUORUM)
        cluster = Cluster(
            names.hosts,
            port=names.port,
            protocol_version=PROTOCOL_VERSION,
            execution_profiles={EXEC_PROFILE_DEFAULT: profile},
            sockopts=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        )
        return cls(await open_store(url), cluster, names.keyspace)

    async def close(self) -> None:
        await asyncio.to_thread(self._cluster.shutdown)
        await self._store.close()

    async def singles(self, settings: HistorySettings) -> Rate:
        return await asyncio.to_thread(self._singles, settings)

    async def grouped(self, settings: HistorySettings) -> Rate:
        return await grouped(self._store, settings)

    def _singles(self, settings: HistorySettings) -> Rate:
        session = self._cluster.connect()
        insert = session.prepare(INSERT_COMMENT.replace("$keyspace", self._keyspace))
        count = settings.singles
        begin_s, begin_cpu_s = time.monotonic(), time.process_time()
        execute_concurrent_with_args(session, insert, _rows(count, settings.message), settings.singles_concurrency)
        lasted_s, cpu_s = time.monotonic() - begin_s, time.process_time() - begin_cpu_s
        session.shutdown()
        return Rate(count / lasted_s, cpu_s / count * 1e6)


async def grouped(store: Store, settings: HistorySettings) -> Rate:
    """So many authors, each of whom says the next thing when the last one is durable"""
    commit = GroupCommit(
        store.append, batch_max=settings.batch_max, pending_max=settings.authors, writes_max=settings.writes_max
    )
    ids = IdSource(1)
    end_s = time.monotonic() + settings.seconds

    async def talk(author: Author) -> int:
        count = 0
        while time.monotonic() < end_s:
            now_ms = time.time_ns() // 1_000_000
            await commit.append(Comment(ids.next(now_ms), VIDEO, author, settings.message, now_ms))
            count += 1
        return count

    begin_s, begin_cpu_s = time.monotonic(), time.process_time()
    counts = await asyncio.gather(*(talk(Author(f"u{n}", f"u{n}")) for n in range(settings.authors)))
    lasted_s, cpu_s, count = time.monotonic() - begin_s, time.process_time() - begin_cpu_s, sum(counts)
    await commit.close()
    return Rate(count / lasted_s, cpu_s / count * 1e6)


async def warm(url: str, settings: HistorySettings) -> None:
    """Grouped writes, of which nothing is told: for a JVM that has just started. Raises StoreUnavailable."""
    store = await open_store(url)
    try:
        await grouped(store, replace(settings, seconds=settings.jit_s))
    finally:
        await store.close()


def _rows(count: int, message: str) -> Iterator[tuple[object, ...]]:
    ids = IdSource(2)
    for number in range(count):
        now_ms = time.time_ns() // 1_000_000
        comment_id = ids.next(now_ms)
        author = f"u{number}"
        yield VIDEO, bucket_of(comment_id), comment_id, author, author, message, now_ms, written_us(comment_id), 0
