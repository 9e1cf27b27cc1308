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

from history.cassandra.barring import Barring
from history.cassandra.batches import COLUMNS, INSERT_COMMENT, ROW_BYTES, CommentBatch, comment_batches
from history.cassandra.claims import CassandraClaims
from history.cassandra.moderating import CassandraModerating
from history.cassandra.notices import CassandraNotices
from history.cassandra.schema import is_usable, migrate
from history.cassandra.session import CassandraSession, Row
from history.cassandra.tables import CassandraTables, Partition, bucket_of, ttl_s
from history.cassandra.videos import CassandraVideoReader, CassandraVideos
from history.clocks import monotonic_ms, wall_ms
from history.config import BUCKET_KNOWN_MS, PURGES_KEPT_MS, TTL_S_MAX, StoreSettings
from history.core.ids import parse_id
from history.core.late import late_among
from history.core.log_rows import LogRow, found_in, taken_ids
from history.core.model import Change, Comment, Found, State
from history.core.purges import Purged, RecentPurges
from history.reading import LogReader
from history.store import Claimed, IdTaken, Outcome

BUCKETS_LIMIT = 64  # rows of one look into the table of buckets

INSERT_BUCKET = "INSERT INTO $keyspace.buckets (video_id, bucket) VALUES (?, ?) USING TIMESTAMP ? AND TTL ?"
FOR_EVER_US = 1 << 62
INSERT_AUTHOR = "INSERT INTO $keyspace.videos_by_author (author_id, video_id) VALUES (?, ?)"
AUTHORS_BATCH_BYTES_MAX = 4_096

CHECK_VIDEO_ID = "."  # can't be a real video's id: nothing is stored under it


LOG_COLUMNS = f"{COLUMNS}, erased, last_change, kind, target_id, up_to_id, data"
WITH_IDS = f"SELECT {LOG_COLUMNS} FROM $keyspace.comments WHERE video_id = ? AND bucket = ? AND id IN ?"  # noqa: S608


@dataclass(frozen=True, slots=True)
class Reads:
    """Buckets, and rows of one bucket, from a bound (inclusive) on, in one direction."""

    buckets: PreparedStatement
    rows: PreparedStatement
    step: int  # from a bucket to the next that may exist: -1 or 1


class CassandraReader(LogReader):
    """`history.store.NodeReader` without rights on the schema. Until a writer has made the tables, every video is
    empty."""

    def __init__(self, tables: CassandraTables, settings: StoreSettings) -> None:
        self._tables = tables
        self._settings = settings
        self._recent = RecentPurges(PURGES_KEPT_MS)
        self._reads: dict[bool, Reads] = {}  # by newest_first
        videos = CassandraVideoReader(tables, settings)
        self.videos, self.changed_videos = videos.videos, videos.changed_videos

    async def rows(self, video_id: str, bound: int, limit: int, *, newest_first: bool) -> Sequence[LogRow]:
        reads = self._reads.get(newest_first)
        if reads is None:
            reads = await self._prepare_reads(*(("<=", "DESC", -1) if newest_first else (">=", "ASC", 1)))
            if reads is None:
                return []
            self._reads[newest_first] = reads
        return self._seen(video_id, await self._collect(reads, video_id, bound, limit))

    async def rows_of(self, video_id: str, ids: Sequence[int]) -> Sequence[LogRow]:
        return self._seen(video_id, await self._stored(video_id, ids))

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
        rows = (
            f"SELECT {LOG_COLUMNS} FROM {keyspace}.comments "  # noqa: S608
            f"WHERE video_id = ? AND bucket = ? AND id {reaches} ? ORDER BY id {order} LIMIT ?"
        )
        return Reads(await session.prepare(buckets), await session.prepare(rows), step)

    async def _collect(self, reads: Reads, video_id: str, bound: int, limit: int) -> list[Row]:
        """Reads bucket after bucket from the bound's on, more at a time as long as they hold too little."""
        execute = self._tables.session.execute
        found: list[Row] = []
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
                    execute(reads.rows, (video_id, buckets.popleft(), bound, wanted))
                    for _ in range(min(at_once, len(buckets)))
                )
            )
            found += chain.from_iterable(found_in)
            at_once = min(at_once * 2, self._settings.cassandra_bucket_reads_max)
        return found[:limit]

    async def _stored(self, video_id: str, ids: Sequence[int]) -> list[Row]:
        buckets: defaultdict[int, list[int]] = defaultdict(list)
        for each in ids:
            buckets[bucket_of(each)].append(each)
        found = await asyncio.gather(
            *(self._tables.run(WITH_IDS, video_id, bucket, some) for bucket, some in buckets.items())
        )
        return list(chain.from_iterable(found))

    def _seen(self, video_id: str, rows: Iterable[Row]) -> list[LogRow]:
        """As readers see them: also without what a purge hasn't overwritten yet."""
        seen = list(map(_log_row, rows))
        if self._recent:
            bars = self._recent.bar
            return [
                LogRow(row.id, "", "", "", 0, State.ERASED, after_id=row.after_id)
                if not row.kind and bars(row.author_id, video_id, row.id)
                else row
                for row in seen
            ]
        return seen


class CassandraStore(CassandraReader):
    """`history.store.History`. Its parts share the session."""

    def __init__(self, tables: CassandraTables, settings: StoreSettings) -> None:
        """Use `open`."""
        super().__init__(tables, settings)
        videos = CassandraVideos(tables, settings)
        self._notices = CassandraNotices(tables, self._remember, settings)
        moderating = CassandraModerating(
            *(tables, self._notices, self._register, self._remember, self._refuse_taken), settings
        )
        self._barring = Barring(tables, self._recent, moderating.erase, settings)
        self.apply, self.erase, self.comments_of = moderating.apply, moderating.erase, moderating.comments_of
        self._claims = CassandraClaims(tables, self._append, moderating.withdraw, settings.cassandra_lwt_ms)
        self.begin_purge, self.end_purge = moderating.begin_purge, moderating.end_purge
        self.purges, self.note_look = moderating.purges, moderating.note_look
        self.changes_since, self.late_since = self._notices.changes_since, self._notices.late_since
        self.add_video, self.change_video, self.video = videos.add_video, videos.change_video, videos.video
        self.claim_of, self.claim_node = self._claims.claim_of, self._claims.claim_node
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
        await store._barring.look_for_old_marks()
        return store

    async def append(self, comments: Sequence[Comment]) -> None:
        """One batch for each partition, all at the same time; the new buckets' and authors' rows beside them."""
        await self._refuse_taken(late_among(comments, wall_ms(), self._settings.late_ms))
        await self._append(comments)

    async def append_claimed(self, items: Sequence[Claimed], now_ms: int, keep_ms: int) -> Sequence[Outcome]:
        await self._refuse_taken(late_among([comment for comment, _ in items], wall_ms(), self._settings.late_ms))
        return await self._claims.append_claimed(items, now_ms, keep_ms)

    async def _append(self, comments: Sequence[Comment]) -> None:
        comments = await self._barring.without_gone(comments, wall_ms())
        partitions: defaultdict[Partition, list[Comment]] = defaultdict(list)
        for comment in comments:
            partitions[comment.video_id, bucket_of(comment.id)].append(comment)
        authors = dict.fromkeys((comment.author.id, comment.video_id) for comment in comments)
        execute = self._tables.session.execute
        await asyncio.gather(
            self._register(list(partitions)),
            self._register_authors([author for author in authors if author not in self._known_authors]),
            *(execute(batch) for name, some in partitions.items() for batch in self._batches(name, some)),
        )
        await self._notices.announce_late(comments)

    async def _refuse_taken(self, events: Sequence[Comment | Change]) -> None:
        """Raises IdTaken if something else stands under their ids."""
        ids: defaultdict[str, list[int]] = defaultdict(list)
        for each in events:
            ids[each.video_id].append(each.id)
        found = await asyncio.gather(*(self._stored(video_id, some) for video_id, some in ids.items()))
        rows = {(video_id, row[0]): _log_row(row) for video_id, some in zip(ids, found, strict=True) for row in some}
        if taken := taken_ids(rows, events):
            raise IdTaken(taken)

    async def find(self, video_id: str, comment_id: int) -> Found | None:
        for row in await self._stored(video_id, [comment_id]):
            found = _log_row(row)
            if found.state == State.ERASED and not row[ERASED_COLUMN]:
                return None  # something was to be hidden that isn't there
            last_change = row[LAST_CHANGE_COLUMN]
            return found_in(video_id, found, 0 if last_change is None else parse_id(last_change[:-1]))
        return None

    async def sweep(self, now_ms: int) -> int:
        """Nothing to do: rows expire by their times to live."""
        return 0

    async def _register(self, partitions: Sequence[Partition]) -> None:
        """A bucket is known only once its row is durable: while that fails, no comment of it is acknowledged.

        The row goes soon after the last comment of the bucket has expired, so that no page walks through empty buckets.
        Its timestamp is the time when it expires: of several writes, also by processes with other settings, the one
        that keeps it longest counts.
        """
        keep_s, for_ms = self._settings.comments_keep_s, BUCKET_KNOWN_MS
        turn, life = 0, (FOR_EVER_US, 0)
        if keep_s:
            life_s = min(keep_s + 2 * ttl_s(for_ms), TTL_S_MAX)
            turn, life = monotonic_ms() // for_ms, ((wall_ms() + life_s * 1000) * 1000, life_s)
        new = [partition for partition in partitions if (*partition, turn) not in self._known_buckets]
        await asyncio.gather(*(self._tables.run(INSERT_BUCKET, *partition, *life) for partition in new))
        self._known_buckets.add([(*partition, turn) for partition in new])

    def _remember(self, purged: Sequence[Purged]) -> None:
        """An author's videos are registered anew with his next comments: `end_purge` may delete the present rows."""
        for author_id in self._recent.learn(purged, wall_ms()):
            self._known_authors.forget(author_id)

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


Name = tuple[str, str] | tuple[str, int, int]
"""An author and a video, or a video, a bucket, and the time for which that is known"""


class _Known:
    """The rows that were registered last, up to size_max"""

    def __init__(self, size_max: int) -> None:
        self._size_max = size_max
        self._names: OrderedDict[Name, None] = OrderedDict()

    def __contains__(self, name: Name) -> bool:
        return name in self._names

    def __len__(self) -> int:
        return len(self._names)

    def add(self, names: Iterable[Name]) -> None:
        for name in names:
            self._names[name] = None
        while len(self._names) > self._size_max:
            self._names.popitem(last=False)

    def forget(self, first: str) -> None:
        """All names that begin with that"""
        for name in [name for name in self._names if name[0] == first]:
            del self._names[name]


def _log_row(row: Row) -> LogRow:
    id_, author_id, author_name, message, created_at_ms, after_id, erased, last_change, *event = row
    kind, target_id, up_to_id, data = event
    after_id = after_id or 0
    if kind is not None:
        about = (kind, target_id or 0, up_to_id or 0, data or b"", after_id)
        return LogRow(id_, author_id or "", "", "", 0, 0, *about)
    if erased or message is None:
        return LogRow(id_, "", "", "", created_at_ms or 0, State.ERASED, target_id=target_id or 0, after_id=after_id)
    state = State.HIDDEN if last_change is not None and last_change.endswith("-") else State.VISIBLE
    return LogRow(id_, author_id, author_name, message, created_at_ms, state, after_id=after_id)


ERASED_COLUMN, LAST_CHANGE_COLUMN = 6, 7
"""In LOG_COLUMNS"""
