"""The history in Cassandra; history/schema.cql explains the tables.

A comment's partition is its video and its bucket, a stretch of time computed from its id. Which buckets exist stands in
a table of its own. A page reads that table first, then the buckets: one if they are full, several at a time if they
hold little. Two round trips for a page of a busy video, at any depth.
"""

import asyncio
import time
import uuid
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from string import Template

import structlog
from cassandra.query import BatchStatement, BatchType, PreparedStatement, SimpleStatement

from history.cassandra_session import CassandraSession, Row, UnknownTable
from history.config import BUCKET_MS, StoreSettings
from history.ids import ID_MAX, time_of
from history.model import Author, Comment
from history.store import StoreUnavailable

SCHEMA = Path(__file__).with_name("schema.cql")
TABLES = {"comments", "buckets"}
TABLE_IDS = uuid.UUID("a3f1c0de-0c5a-4c4e-9d3b-6c1f4f2b7e10")  # any fixed one
REPLICAS_MAX = 3
SETTLE_POLL_S = 0.05

COLUMNS = "id, author_id, author_name, message, created_at_ms"
BUCKETS_LIMIT = 64  # rows of one look into the table of buckets
ROW_BYTES = 64  # a row's fixed part in a batch, rounded up

CHECK_VIDEO_ID = "."  # can't be a real video's id: nothing is stored under it

Partition = tuple[str, int]

_log = structlog.stdlib.get_logger()


@dataclass(frozen=True, slots=True)
class Reads:
    """Buckets, and comments of one bucket, from a bound (inclusive) on, in one direction."""

    buckets: PreparedStatement
    comments: PreparedStatement
    step: int  # from a bucket to the next that may exist: -1 or 1


class CassandraReader:
    """Reads; needs no rights on the schema. Until a writer has made the tables, every video is empty."""

    def __init__(self, session: CassandraSession, keyspace: str, settings: StoreSettings) -> None:
        self._session = session
        self._keyspace = keyspace
        self._settings = settings
        self._older: Reads | None = None
        self._newer: Reads | None = None

    async def older(self, video_id: str, before: int | None, limit: int) -> list[Comment]:
        newest = ID_MAX if before is None else min(before - 1, ID_MAX)
        self._older = self._older or await self._prepare_reads("<=", "DESC", -1)
        return await self._collect(self._older, video_id, newest, limit) if self._older else []

    async def newer(self, video_id: str, after: int, limit: int) -> list[Comment]:
        if after >= ID_MAX:
            return []
        self._newer = self._newer or await self._prepare_reads(">=", "ASC", 1)
        return await self._collect(self._newer, video_id, after + 1, limit) if self._newer else []

    async def check(self) -> None:
        """Reads as a viewer does, with the same consistency."""
        await self.older(CHECK_VIDEO_ID, None, 1)

    async def close(self) -> None:
        await self._session.close()

    async def _has_tables(self) -> bool:
        """Asks the table that is made last. (system_schema lists tables already while they are being made, and for a
        statement that can't be prepared the driver logs a traceback.)"""
        # One partition, not the whole table: of a scan, Cassandra doesn't ask a second node when one is stuck.
        probe = f"SELECT bucket FROM {self._keyspace}.buckets WHERE video_id = '{CHECK_VIDEO_ID}' LIMIT 1"  # noqa: S608
        try:
            await self._session.execute(SimpleStatement(probe, is_idempotent=True))
        except UnknownTable:
            return False
        return True

    async def _prepare_reads(self, reaches: str, order: str, step: int) -> Reads | None:
        """None while there are no tables."""
        if not await self._has_tables():
            return None
        # Names and operators only; what comes from outside is bound.
        buckets = (
            f"SELECT bucket FROM {self._keyspace}.buckets "  # noqa: S608
            f"WHERE video_id = ? AND bucket {reaches} ? ORDER BY bucket {order} LIMIT {BUCKETS_LIMIT}"
        )
        comments = (
            f"SELECT {COLUMNS} FROM {self._keyspace}.comments "  # noqa: S608
            f"WHERE video_id = ? AND bucket = ? AND id {reaches} ? ORDER BY id {order} LIMIT ?"
        )
        return Reads(await self._session.prepare(buckets), await self._session.prepare(comments), step)

    async def _collect(self, reads: Reads, video_id: str, bound: int, limit: int) -> list[Comment]:
        """Bucket after bucket from the bound's on, more at a time as long as they hold too little."""
        found: list[Comment] = []
        buckets: deque[int] = deque()
        edge: int | None = bucket_of(bound)
        at_once = 1
        while len(found) < limit:
            if not buckets and edge is not None:
                buckets.extend(bucket for (bucket,) in await self._session.execute(reads.buckets, (video_id, edge)))
                edge = buckets[-1] + reads.step if len(buckets) == BUCKETS_LIMIT else None
            if not buckets:
                break
            wanted = limit - len(found)
            rows = await asyncio.gather(
                *(
                    self._session.execute(reads.comments, (video_id, buckets.popleft(), bound, wanted))
                    for _ in range(min(at_once, len(buckets)))
                )
            )
            found += [_comment(video_id, row) for row in chain.from_iterable(rows)]
            at_once = min(at_once * 2, self._settings.cassandra_bucket_reads_max)
        return found[:limit]


class CassandraStore(CassandraReader):
    """Writes and reads."""

    def __init__(self, session: CassandraSession, keyspace: str, settings: StoreSettings) -> None:
        """`open` makes one that works."""
        super().__init__(session, keyspace, settings)
        self._known_buckets: OrderedDict[Partition, None] = OrderedDict()
        self._insert_comment: PreparedStatement
        self._insert_bucket: PreparedStatement

    @classmethod
    async def open(cls, session: CassandraSession, keyspace: str, settings: StoreSettings) -> "CassandraStore":
        """Makes what is missing of the schema. Any number of processes may do so at the same time."""
        store = cls(session, keyspace, settings)
        if not await store._has_tables():
            await store._make_schema()
            await store._wait_for_schema()
        store._insert_comment = await session.prepare(
            f"INSERT INTO {keyspace}.comments (video_id, bucket, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
        )
        store._insert_bucket = await session.prepare(
            f"INSERT INTO {keyspace}.buckets (video_id, bucket) VALUES (?, ?)"  # noqa: S608
        )
        return store

    async def append(self, comments: Sequence[Comment]) -> None:
        """One batch for each partition, all at the same time; the new buckets' rows beside them."""
        partitions: defaultdict[Partition, list[Comment]] = defaultdict(list)
        for comment in comments:
            partitions[comment.video_id, bucket_of(comment.id)].append(comment)
        batches = chain.from_iterable(self._batches(*partition) for partition in partitions.items())
        await asyncio.gather(
            *(self._register(partition) for partition in partitions if partition not in self._known_buckets),
            *(self._session.execute(batch) for batch in batches),
        )

    async def _register(self, partition: Partition) -> None:
        """Remembered only after it is durable: while that fails, no comment of the bucket is acknowledged."""
        await self._session.execute(self._insert_bucket, partition)
        self._known_buckets[partition] = None
        if len(self._known_buckets) > self._settings.cassandra_known_buckets_max:
            self._known_buckets.popitem(last=False)

    def _batches(self, partition: Partition, comments: Sequence[Comment]) -> Iterator[BatchStatement]:
        """Unlogged, because a batch within one partition is one mutation: all of it is stored, or nothing."""
        batch, size = self._new_batch(), 0
        for comment in comments:
            row_size = _size(comment)
            if size and size + row_size > self._settings.cassandra_batch_bytes_max:
                yield batch
                batch, size = self._new_batch(), 0
            batch.add(self._insert_comment, (*partition, *_columns(comment)))
            size += row_size
        yield batch

    def _new_batch(self) -> BatchStatement:
        batch = BatchStatement(BatchType.UNLOGGED)
        batch.is_idempotent = True
        return batch

    async def _make_schema(self) -> None:
        datacenter, nodes = self._session.local_datacenter()
        replicas = min(nodes, REPLICAS_MAX)
        schema = Template(_without_comments(SCHEMA.read_text())).substitute(
            keyspace=self._keyspace,
            **{f"{table}_id": uuid.uuid5(TABLE_IDS, f"{self._keyspace}.{table}") for table in TABLES},
            replication=f"{{'class': 'NetworkTopologyStrategy', '{datacenter}': {replicas}}}",
        )
        for statement in schema.split(";"):
            if statement.strip():
                await self._session.execute_schema(statement, self._settings.cassandra_schema_timeout_ms)
        _log.info("schema_made", store="cassandra", keyspace=self._keyspace, replicas=replicas)

    async def _wait_for_schema(self) -> None:
        """Another process that is making the same tables makes ours return before they are ready."""
        end = time.monotonic() + self._settings.cassandra_settle_ms / 1000
        while not await self._has_tables():
            if time.monotonic() > end:
                raise StoreUnavailable(f"Cassandra: the tables of {self._keyspace} were made and are not there")
            await asyncio.sleep(SETTLE_POLL_S)


def bucket_of(comment_id: int) -> int:
    return time_of(comment_id) // BUCKET_MS


def _comment(video_id: str, row: Row) -> Comment:
    comment_id, author_id, author_name, message, created_at_ms = row
    return Comment(comment_id, video_id, Author(author_id, author_name), message, created_at_ms)


def _columns(comment: Comment) -> Row:
    return comment.id, comment.author.id, comment.author.name, comment.message, comment.created_at_ms


def _size(comment: Comment) -> int:
    """Bytes of its row in a batch, at most"""
    texts = (comment.video_id, comment.author.id, comment.author.name, comment.message)
    return ROW_BYTES + sum(len(text.encode()) for text in texts)


def _without_comments(cql: str) -> str:
    return "\n".join(line.partition("--")[0] for line in cql.splitlines())
