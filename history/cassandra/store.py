"""The store in Cassandra; history/cassandra/schema.cql explains the tables.

A comment's partition is its video and its bucket, a stretch of time computed from its id. A table of its own lists the
buckets that exist. A page reads that table first, then the buckets: one if they are full, several at a time if they
hold little. A page of a busy video takes two round trips, at any depth.
"""

import asyncio
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from cassandra.query import BatchStatement, BatchType, PreparedStatement

from history.cassandra.batches import COLUMNS, INSERT_COMMENT, ROW_BYTES, CommentBatch, comment_batches
from history.cassandra.claims import CassandraClaims
from history.cassandra.erasing import CassandraErasing
from history.cassandra.notices import CassandraNotices
from history.cassandra.schema import is_usable, migrate
from history.cassandra.session import CassandraSession, Row
from history.cassandra.tables import CassandraTables, Partition, bucket_of
from history.cassandra.videos import CassandraVideos
from history.clocks import wall_ms
from history.config import StoreSettings
from history.core.ids import ID_MAX
from history.core.model import Author, Comment

BUCKETS_LIMIT = 64  # rows of one look into the table of buckets

INSERT_BUCKET = "INSERT INTO $keyspace.buckets (video_id, bucket) VALUES (?, ?)"
INSERT_AUTHOR = "INSERT INTO $keyspace.videos_by_author (author_id, video_id) VALUES (?, ?)"
AUTHORS_BATCH_BYTES_MAX = 4_096

CHECK_VIDEO_ID = "."  # can't be a real video's id: nothing is stored under it


@dataclass(frozen=True, slots=True)
class Reads:
    """Buckets, and comments of one bucket, from a bound (inclusive) on, in one direction."""

    buckets: PreparedStatement
    comments: PreparedStatement
    step: int  # from a bucket to the next that may exist: -1 or 1


class CassandraReader:
    """`history.store.Reader` without rights on the schema. Until a writer has made the tables, every video is empty."""

    def __init__(self, tables: CassandraTables, settings: StoreSettings) -> None:
        self._tables = tables
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
        await self._tables.session.close()

    async def _prepare_reads(self, reaches: str, order: str, step: int) -> Reads | None:
        """None while there are no tables."""
        session, keyspace = self._tables.session, self._tables.keyspace
        # One partition, not the whole table: for a scan, Cassandra doesn't ask a second node when one is stuck.
        if not await is_usable(session, keyspace, "buckets", f"WHERE video_id = '{CHECK_VIDEO_ID}'"):
            return None
        # Names and operators only; what comes from outside is bound.
        buckets = (
            f"SELECT bucket FROM {keyspace}.buckets "  # noqa: S608
            f"WHERE video_id = ? AND bucket {reaches} ? ORDER BY bucket {order} LIMIT {BUCKETS_LIMIT}"
        )
        comments = (
            f"SELECT {COLUMNS} FROM {keyspace}.comments "  # noqa: S608
            f"WHERE video_id = ? AND bucket = ? AND id {reaches} ? ORDER BY id {order} LIMIT ?"
        )
        return Reads(await session.prepare(buckets), await session.prepare(comments), step)

    async def _collect(self, reads: Reads, video_id: str, bound: int, limit: int) -> list[Comment]:
        """Reads bucket after bucket from the bound's on, more at a time as long as they hold too little."""
        execute = self._tables.session.execute
        found: list[Comment] = []
        buckets: deque[int] = deque()
        edge: int | None = bucket_of(bound)
        at_once = 1
        while len(found) < limit:
            if not buckets and edge is not None:
                buckets.extend(
                    bucket for (bucket,) in await self._tables.session.execute(reads.buckets, (video_id, edge))
                )
                edge = buckets[-1] + reads.step if len(buckets) == BUCKETS_LIMIT else None
            if not buckets:
                break
            wanted = limit - len(found)
            found_in = await asyncio.gather(
                *(
                    execute(reads.comments, (video_id, buckets.popleft(), bound, wanted))
                    for _ in range(min(at_once, len(buckets)))
                )
            )
            found += [_comment(video_id, row) for row in chain.from_iterable(found_in)]
            at_once = min(at_once * 2, self._settings.cassandra_bucket_reads_max)
        return found[:limit]


class CassandraStore(CassandraReader):
    """`history.store.History`. Its parts share the session."""

    def __init__(self, tables: CassandraTables, settings: StoreSettings) -> None:
        """Use `open`."""
        super().__init__(tables, settings)
        videos = CassandraVideos(tables, settings)
        self._notices = CassandraNotices(tables, settings)
        self._erasing = CassandraErasing(tables, self._notices, settings)
        self._claims = CassandraClaims(tables, self.append, self._erasing.erase)
        self.erase, self.bar_author = self._erasing.erase, self._erasing.bar_author
        self.comments_of = self._erasing.comments_of
        self.erased_since, self.late_since = self._notices.erased_since, self._notices.late_since
        self.add_video, self.change_video, self.video = videos.add_video, videos.change_video, videos.video
        self.videos, self.changed_videos = videos.videos, videos.changed_videos
        self.append_claimed, self.claim_node = self._claims.append_claimed, self._claims.claim_node
        self.release_node = self._claims.release_node
        self._known_buckets = _Known(settings.cassandra_known_buckets_max)
        self._known_authors = _Known(settings.cassandra_known_authors_max)
        self._insert_comment: PreparedStatement
        self._insert_author: PreparedStatement

    @classmethod
    async def open(cls, session: CassandraSession, keyspace: str, settings: StoreSettings) -> "CassandraStore":
        """Makes what is missing of the schema. Any number of processes may do so at the same time."""
        await migrate(session, keyspace, settings)
        tables = CassandraTables(session, keyspace)
        store = cls(tables, settings)
        store._insert_comment = await tables.statement(INSERT_COMMENT)
        store._insert_author = await tables.statement(INSERT_AUTHOR)
        return store

    async def append(self, comments: Sequence[Comment]) -> None:
        """One batch for each partition, all at the same time; the new buckets' and authors' rows beside them."""
        comments = await self._erasing.without_erased(comments, wall_ms())
        partitions: defaultdict[Partition, list[Comment]] = defaultdict(list)
        for comment in comments:
            partitions[comment.video_id, bucket_of(comment.id)].append(comment)
        authors = dict.fromkeys((comment.author.id, comment.video_id) for comment in comments)
        execute = self._tables.session.execute
        await asyncio.gather(
            *(self._register(partition) for partition in partitions if partition not in self._known_buckets),
            self._register_authors([author for author in authors if author not in self._known_authors]),
            *(execute(batch) for name, some in partitions.items() for batch in self._batches(name, some)),
        )
        await self._notices.announce_late(comments)

    async def sweep(self, now_ms: int) -> int:
        """Nothing to do: rows expire by their times to live."""
        return 0

    async def _register(self, partition: Partition) -> None:
        """The bucket is known only once its row is durable: while that fails, no comment of it is acknowledged."""
        await self._tables.run(INSERT_BUCKET, *partition)
        self._known_buckets.add([partition])

    async def _register_authors(self, authors: Sequence[tuple[str, str]]) -> None:
        """In batches over many partitions: not to be one mutation, only to be few requests. They are small, because one
        node has to pass their parts on, and a server warns at 5 KiB."""
        batches, size = [], AUTHORS_BATCH_BYTES_MAX
        for author in authors:
            row_size = ROW_BYTES + sum(len(text.encode()) for text in author)
            if size + row_size > AUTHORS_BATCH_BYTES_MAX:
                batches.append(BatchStatement(BatchType.UNLOGGED))
                batches[-1].is_idempotent = True
                size = 0
            batches[-1].add(self._insert_author, author)
            size += row_size
        await asyncio.gather(*(self._tables.session.execute(batch) for batch in batches))
        self._known_authors.add(authors)

    def _batches(self, partition: Partition, comments: Sequence[Comment]) -> Iterable[CommentBatch]:
        settings = self._settings
        return comment_batches(
            self._insert_comment,
            partition,
            comments,
            bytes_max=settings.cassandra_batch_bytes_max,
            ttl_s=settings.comments_keep_s,
        )


class _Known:
    """The rows that were registered last, up to size_max"""

    def __init__(self, size_max: int) -> None:
        self._size_max = size_max
        self._names: OrderedDict[tuple[str, str | int], None] = OrderedDict()

    def __contains__(self, name: tuple[str, str | int]) -> bool:
        return name in self._names

    def __len__(self) -> int:
        return len(self._names)

    def add(self, names: Iterable[tuple[str, str | int]]) -> None:
        for name in names:
            self._names[name] = None
        while len(self._names) > self._size_max:
            self._names.popitem(last=False)


def _comment(video_id: str, row: Row) -> Comment:
    comment_id, author_id, author_name, message, created_at_ms = row
    return Comment(comment_id, video_id, Author(author_id, author_name), message, created_at_ms)
