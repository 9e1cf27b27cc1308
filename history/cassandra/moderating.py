"""Moderating in Cassandra without deleting a row, so that nothing comes back and no read meets a tombstone.

What keeps an erased comment away is its row: its cells are overwritten with a timestamp a day above the append's. So
the erasure wins whatever the clocks say and whichever comes first, for ever. schema.cql says which cell is written by
whom; cassandra/barring.py keeps purged authors' comments away.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from itertools import pairwise

from history.cassandra.barring import slices
from history.cassandra.batches import row_us, written_us
from history.cassandra.notices import CassandraNotices
from history.cassandra.tables import CassandraTables, Partition, bucket_of, ttl_s
from history.config import BUCKET_MS, NAMED_MS, StoreSettings
from history.core.ids import ID_MAX, first_id_at, format_id, time_of
from history.core.late import ALL_VIDEOS
from history.core.model import AUTHOR_PURGED, ERASED, HIDDEN, RESTORED, Change, stands_as
from history.core.purges import Purge, Purged, author_hash

ERASURE_AHEAD_US = 86_400_000_000
"""A day: also above what a process wrote whose statements carried its clock's time, not the id's"""

DAY_MS = 86_400_000
"""The time of one partition of purges. A part of the schema."""

PURGES_READ_MS = NAMED_MS - 3_600_000
"""How far back purges are read: an hour less than they live, so that no read meets one that has expired"""

ERASE = """
UPDATE $keyspace.comments USING TIMESTAMP ? SET author_id = '', author_name = '', message = '', erased = true
WHERE video_id = ? AND bucket = ? AND id = ?
"""
NAME_STANDING = """
UPDATE $keyspace.comments USING TIMESTAMP ? SET target_id = ? WHERE video_id = ? AND bucket = ? AND id = ?
"""
SET_STATE = """
UPDATE $keyspace.comments USING TIMESTAMP ? SET last_change = ? WHERE video_id = ? AND bucket = ? AND id = ?
"""
LOG = """
INSERT INTO $keyspace.comments (video_id, bucket, id, kind, target_id, up_to_id, data, after_id)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
USING TIMESTAMP ? AND TTL ?
"""
NAME_AUTHOR = """
UPDATE $keyspace.comments USING TIMESTAMP ? AND TTL ? SET author_id = ? WHERE video_id = ? AND bucket = ? AND id = ?
"""
BAR = "INSERT INTO $keyspace.barred (author, video_id, up_to_id) VALUES (?, ?, ?)"
BEGIN_PURGE = """
INSERT INTO $keyspace.purges (day, id, author_id, video_id, up_to_id, looks) VALUES (?, ?, ?, ?, ?, ?)
"""
PURGES = "SELECT id, author_id, video_id, up_to_id, looks FROM $keyspace.purges WHERE day = ? AND id >= ?"
NOTE_LOOK = "UPDATE $keyspace.purges SET looks = ? WHERE day = ? AND id = ?"
END_PURGE = "UPDATE $keyspace.purges SET author_id = '' WHERE day = ? AND id = ?"
VIDEOS_OF = "SELECT video_id FROM $keyspace.videos_by_author WHERE author_id = ? AND video_id > ? LIMIT ?"
FORGET_VIDEO = "DELETE FROM $keyspace.videos_by_author USING TIMESTAMP ? WHERE author_id = ? AND video_id = ?"
BUCKETS = "SELECT bucket FROM $keyspace.buckets WHERE video_id = ? AND bucket <= ? AND bucket >= ? LIMIT ?"
# The server filters, but only among some rows of one partition.
COMMENTS_OF = """
SELECT id, kind FROM $keyspace.comments WHERE video_id = ? AND bucket = ? AND id >= ? AND id <= ? AND author_id = ?
ALLOW FILTERING
"""


class CassandraModerating:
    """`history.store.Moderating` but for `find`"""

    def __init__(
        self,
        tables: CassandraTables,
        notices: CassandraNotices,
        register: Callable[[Sequence[Partition]], Awaitable[None]],
        on_purged: Callable[[Sequence[Purged]], None],
        refuse_taken: Callable[[Sequence[Change]], Awaitable[None]],
        settings: StoreSettings,
    ) -> None:
        """register: makes the buckets known to readers. on_purged: remembers authors.
        refuse_taken: raises IdTaken if something else stands under their ids."""
        self._tables = tables
        self._notices = notices
        self._register = register
        self._on_purged = on_purged
        self._refuse_taken = refuse_taken
        self._settings = settings

    async def apply(self, changes: Sequence[Change]) -> None:
        """After a crash in between, applying them again does the rest."""
        await self._refuse_taken(changes)
        for some in slices(changes, self._settings.erase_slice_max):
            await asyncio.gather(
                self._erase([(each.video_id, each.target_id, stands_as(each)) for each in some if each.kind == ERASED]),
                self._set_states([each for each in some if each.kind in (HIDDEN, RESTORED)]),
            )
            await self._log(some)
            await self._notices.announce_changes(some)

    async def erase(self, video_id: str, ids: Sequence[int]) -> None:
        for some in slices(ids, self._settings.erase_slice_max):
            await self._erase([(video_id, each, 0) for each in some])

    async def withdraw(self, video_id: str, ids: Sequence[int], stands_id: int) -> None:
        """As `erase`; `find` then says which comment stands for them."""
        await self._erase([(video_id, each, stands_id) for each in ids])

    async def begin_purge(self, purge: Purge) -> None:
        day = time_of(purge.id) // DAY_MS
        await self._tables.run(BAR, author_hash(purge.author_id), purge.video_id, purge.up_to_id)
        row = (purge.author_id, purge.video_id, purge.up_to_id)
        await self._tables.run(BEGIN_PURGE, day, purge.id, *row, purge.looks)
        notice = Change(purge.id, purge.video_id, AUTHOR_PURGED, author_id=purge.author_id, up_to_id=purge.up_to_id)
        await self._notices.announce_changes([notice])
        self._on_purged([row])

    async def purges(self, now_ms: int) -> list[Purge]:
        """Also remembers their authors, as `changes_since` does."""
        since_ms = now_ms - PURGES_READ_MS
        days = range(since_ms // DAY_MS, now_ms // DAY_MS + 1)
        found = await asyncio.gather(*(self._tables.run(PURGES, day, first_id_at(since_ms)) for day in days))
        purges = [Purge(*row) for rows in found for row in rows if row[1]]  # without an author it has ended
        self._on_purged([(each.author_id, each.video_id, each.up_to_id) for each in purges])
        return purges

    async def note_look(self, purge: Purge) -> None:
        await self._tables.run(NOTE_LOOK, purge.looks, time_of(purge.id) // DAY_MS, purge.id)

    async def end_purge(self, purge: Purge) -> None:
        if purge.video_id == ALL_VIDEOS:
            async for name in self._videos_of(purge.author_id):
                await self._forget_video(purge.author_id, name, written_us(purge.id))
        else:
            await self._forget_video(purge.author_id, purge.video_id, written_us(purge.id))
        await self._tables.run(END_PURGE, time_of(purge.id) // DAY_MS, purge.id)

    async def comments_of(
        self, author_id: str, video_id: str | None, from_id: int, up_to_id: int
    ) -> AsyncIterator[tuple[str, list[int]]]:
        if video_id is not None:
            async for found in self._in_video(author_id, video_id, from_id, up_to_id):
                yield video_id, found
            return
        async for name in self._videos_of(author_id):
            async for found in self._in_video(author_id, name, from_id, up_to_id):
                yield name, found

    async def _erase(self, comments: Sequence[tuple[str, int, int]]) -> None:
        """Each with the id of the comment that stands for it, or 0"""
        partitions: defaultdict[Partition, list[tuple[object, ...]]] = defaultdict(list)
        standing: defaultdict[Partition, list[tuple[object, ...]]] = defaultdict(list)
        for video_id, comment_id, stands_id in comments:
            name, at_us = (video_id, bucket_of(comment_id)), written_us(comment_id) + ERASURE_AHEAD_US
            partitions[name].append((at_us, *name, comment_id))
            if stands_id:
                standing[name].append((at_us, stands_id, *name, comment_id))
        await self._tables.run_batches(NAME_STANDING, list(standing.values()))  # first: no erased one lacks it
        await self._tables.run_batches(ERASE, list(partitions.values()))

    async def _set_states(self, changes: Sequence[Change]) -> None:
        partitions: defaultdict[Partition, list[tuple[object, ...]]] = defaultdict(list)
        for change in changes:
            name = (change.video_id, bucket_of(change.target_id))
            said = format_id(change.id) + ("-" if change.kind == HIDDEN else "+")
            partitions[name].append((written_us(change.id), said, *name, change.target_id))
        await self._tables.run_batches(SET_STATE, list(partitions.values()))

    async def _log(self, changes: Sequence[Change]) -> None:
        keep_s = self._settings.comments_keep_s
        partitions: defaultdict[Partition, list[tuple[object, ...]]] = defaultdict(list)
        naming: defaultdict[Partition, list[tuple[object, ...]]] = defaultdict(list)
        for change in changes:
            name, data = (change.video_id, bucket_of(change.id)), b"" if change.kind == RESTORED else change.data
            at_us = row_us(change.id, b"%b %d %d %b" % (change.kind.encode(), change.target_id, change.up_to_id, data))
            partitions[name].append(
                (*name, change.id, change.kind, change.target_id, change.up_to_id, data, change.after_id, at_us, keep_s)
            )
            if change.author_id:
                naming[name].append((at_us, ttl_s(NAMED_MS), change.author_id, *name, change.id))
        await asyncio.gather(
            self._register(list(partitions)),
            self._tables.run_batches(LOG, list(partitions.values())),
            self._tables.run_batches(NAME_AUTHOR, list(naming.values())),
        )

    async def _forget_video(self, author_id: str, video_id: str, up_to_us: int) -> None:
        """If he was registered in it before the purge, and has no comment there. Whoever hasn't learned of the purge
        yet doesn't register his next comment anew; with that comment his row stays. All others do, with a newer row."""
        async for _ in self._in_video(author_id, video_id, 0, ID_MAX):
            return
        await self._tables.run(FORGET_VIDEO, up_to_us, author_id, video_id)

    async def _videos_of(self, author_id: str) -> AsyncIterator[str]:
        limit, last = self._settings.erase_slice_max, ""
        while True:
            videos = [name for (name,) in await self._tables.run(VIDEOS_OF, author_id, last, limit)]
            for name in videos:
                yield name
            if len(videos) < limit:
                return
            last = videos[-1]

    async def _in_video(self, author_id: str, video_id: str, from_id: int, up_to_id: int) -> AsyncIterator[list[int]]:
        """Bucket after bucket, in slices of time that the server filters quickly; newest bucket first"""
        limit, newest, oldest = self._settings.erase_slice_max, bucket_of(up_to_id), bucket_of(from_id)
        while True:
            buckets = [bucket for (bucket,) in await self._tables.run(BUCKETS, video_id, newest, oldest, limit)]
            for bucket in buckets:
                rows = await asyncio.gather(
                    *(
                        self._tables.run(COMMENTS_OF, video_id, bucket, low, high, author_id)
                        for low, high in self._scans(bucket, from_id, up_to_id)
                    )
                )
                if found := [comment_id for some in rows for comment_id, kind in some if kind is None]:
                    yield found
            if len(buckets) < limit:
                return
            newest = buckets[-1] - 1

    def _scans(self, bucket: int, from_id: int, up_to_id: int) -> Iterator[tuple[int, int]]:
        """From an id to another, both included: stretches of the bucket's time, within the bounds"""
        start, end = bucket * BUCKET_MS, (bucket + 1) * BUCKET_MS
        for low, high in pairwise([*range(start, end, self._settings.cassandra_scan_ms), end]):
            first, last = max(first_id_at(low), from_id), min(first_id_at(high) - 1, up_to_id)
            if first <= last:
                yield first, last
