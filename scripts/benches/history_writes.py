"""Measures comments/s that become durable in Cassandra: the write path's batches, beside the driver's single inserts.

Both in this process, one after the other, into the same tables, with the same consistency, until each is acknowledged.
"""

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

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
from scripts.benches.config import HistorySettings
from scripts.benches.schedule import VIDEO


@dataclass(frozen=True, slots=True)
class Rate:
    per_s: float
    cpu_us: float  # of this process, for one comment


@contextmanager
def measuring() -> Iterator[Callable[[int], Rate]]:
    """Yields a function: how many comments became durable -> their rate, measured from here on"""
    begin_s, begin_cpu_s = time.monotonic(), time.process_time()
    yield lambda count: Rate(count / (time.monotonic() - begin_s), (time.process_time() - begin_cpu_s) / count * 1e6)


def singles(url: str, settings: HistorySettings) -> Rate:
    """By execute_concurrent_with_args, into tables that are there. Blocks."""
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
    try:
        session = cluster.connect()
        insert = session.prepare(INSERT_COMMENT.replace("$keyspace", names.keyspace))
        with measuring() as rate:
            rows = _rows(settings.singles, settings.message)
            execute_concurrent_with_args(session, insert, rows, settings.singles_concurrency)
            return rate(settings.singles)
    finally:
        cluster.shutdown()


async def grouped(url: str, settings: HistorySettings) -> Rate:
    """By `authors` writers at once, each with one comment under way. Raises StoreUnavailable."""
    store = await open_store(url)
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

    try:
        with measuring() as rate:
            counts = await asyncio.gather(*(talk(Author(f"u{n}", f"u{n}")) for n in range(settings.authors)))
            return rate(sum(counts))
    finally:
        await commit.close()
        await store.close()


def _rows(count: int, message: str) -> Iterator[tuple[object, ...]]:
    ids = IdSource(2)
    for number in range(count):
        now_ms = time.time_ns() // 1_000_000
        comment_id = ids.next(now_ms)
        author = f"u{number}"
        yield VIDEO, bucket_of(comment_id), comment_id, author, author, message, now_ms, written_us(comment_id), 0
