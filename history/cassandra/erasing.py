"""Erasing in Cassandra, so that nothing comes back.

Two things keep an erased comment away, each where the other can't:
- The row's own tombstone. A comment's write timestamp is its id's time, and the erasure's lies a day above it, so the
  erasure wins whatever the clocks say and whichever comes first: an append that is under way loses against it.
- A row in `erased`, for ever. The tombstone ends after gc_grace_seconds; when a spool is drained after weeks, its
  comments are looked up there, and their authors among the barred. Only late comments cost these reads.

One case is left open: a comment of a barred author that got its id less than `late_ms` ago on another node, and isn't
stored yet when `comments_of` looks. So whoever erases an author looks a second time after that while.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import pairwise
from typing import TypeVar

from history.cassandra.batches import written_us
from history.cassandra.notices import CassandraNotices
from history.cassandra.tables import CassandraTables, Partition, bucket_of
from history.config import BUCKET_MS, StoreSettings
from history.core.ids import first_id_at
from history.core.late import ALL_VIDEOS, late_among
from history.core.model import Comment

Item = TypeVar("Item")

ERASURE_AHEAD_US = 86_400_000_000
"""A day: also above what a process wrote whose statements carried its clock's time, not the id's"""

MARK = "INSERT INTO $keyspace.erased (video_id, bucket, id) VALUES (?, ?, ?)"
DELETE = "DELETE FROM $keyspace.comments USING TIMESTAMP ? WHERE video_id = ? AND bucket = ? AND id = ?"
MARKED = "SELECT id FROM $keyspace.erased WHERE video_id = ? AND bucket = ? AND id IN ?"
BAR = "INSERT INTO $keyspace.barred_authors (author_id, video_id, up_to_id) VALUES (?, ?, ?)"
BARRED = """
SELECT author_id, up_to_id FROM $keyspace.barred_authors WHERE author_id IN ? AND video_id IN ? AND up_to_id >= ?
"""
VIDEOS_OF = "SELECT video_id FROM $keyspace.videos_by_author WHERE author_id = ? AND video_id > ? LIMIT ?"
BUCKETS = "SELECT bucket FROM $keyspace.buckets WHERE video_id = ? AND bucket <= ? LIMIT ?"
# The server filters, but only among some rows of one partition.
COMMENTS_OF = """
SELECT id FROM $keyspace.comments WHERE video_id = ? AND bucket = ? AND id >= ? AND id < ? AND author_id = ?
ALLOW FILTERING
"""


class CassandraErasing:
    """`history.store.Erasing`, and what an append asks of it"""

    def __init__(self, tables: CassandraTables, notices: CassandraNotices, settings: StoreSettings) -> None:
        self._tables = tables
        self._notices = notices
        self._settings = settings

    async def erase(self, video_id: str, ids: Sequence[int]) -> None:
        """Writes the marks, deletes the rows, then announces it: after a crash in between, erasing again does the
        rest."""
        for some in _slices(ids, self._settings.erase_slice_max):
            partitions: defaultdict[Partition, list[int]] = defaultdict(list)
            for comment_id in some:
                partitions[video_id, bucket_of(comment_id)].append(comment_id)
            marks = [[(*name, each) for each in found] for name, found in partitions.items()]
            await self._tables.run_batches(MARK, marks)
            await self._tables.run_batches(
                DELETE,
                [
                    [(written_us(each) + ERASURE_AHEAD_US, *name, each) for each in found]
                    for name, found in partitions.items()
                ],
            )
            await self._notices.announce_erased(video_id, some)

    async def bar_author(self, author_id: str, video_id: str | None, up_to_id: int) -> None:
        await self._tables.run(BAR, author_id, video_id or ALL_VIDEOS, up_to_id)

    async def comments_of(
        self, author_id: str, video_id: str | None, up_to_id: int
    ) -> AsyncIterator[tuple[str, list[int]]]:
        if video_id is not None:
            async for found in self._in_video(author_id, video_id, up_to_id):
                yield video_id, found
            return
        limit, last = self._settings.erase_slice_max, ""
        while True:
            videos = [name for (name,) in await self._tables.run(VIDEOS_OF, author_id, last, limit)]
            for name in videos:
                async for found in self._in_video(author_id, name, up_to_id):
                    yield name, found
            if len(videos) < limit:
                return
            last = videos[-1]

    async def without_erased(self, comments: Sequence[Comment], now_ms: int) -> Sequence[Comment]:
        """What may be stored. Live comments cost no read."""
        late = late_among(comments, now_ms, self._settings.late_ms)
        if not late:
            return comments
        marked, barred = await asyncio.gather(self._marked(late), self._barred_up_to(late))
        return [
            comment
            for comment in comments
            if (comment.video_id, comment.id) not in marked
            and comment.id > barred.get((comment.author.id, comment.video_id), 0)
        ]

    async def _marked(self, comments: Sequence[Comment]) -> set[tuple[str, int]]:
        """Those of them that are erased"""
        partitions: defaultdict[Partition, list[int]] = defaultdict(list)
        for comment in comments:
            partitions[comment.video_id, bucket_of(comment.id)].append(comment.id)
        found = await asyncio.gather(*(self._tables.run(MARKED, *name, ids) for name, ids in partitions.items()))
        return {(name[0], marked) for name, rows in zip(partitions, found, strict=True) for (marked,) in rows}

    async def _barred_up_to(self, comments: Sequence[Comment]) -> dict[tuple[str, str], int]:
        """For their authors and videos, as far as there is an id. Asks for many authors at once: one by one, this is
        what draining a spool would mostly wait for."""
        authors: defaultdict[str, set[str]] = defaultdict(set)
        for comment in comments:
            authors[comment.video_id].add(comment.author.id)
        low_id, size = min(comment.id for comment in comments), self._settings.cassandra_authors_asked_max
        asked = [(video_id, some) for video_id, names in authors.items() for some in _slices(sorted(names), size)]
        found = await asyncio.gather(
            *(self._tables.run(BARRED, some, [video_id, ALL_VIDEOS], low_id) for video_id, some in asked)
        )
        up_to: dict[tuple[str, str], int] = {}
        for (video_id, _), rows in zip(asked, found, strict=True):
            for author_id, up_to_id in rows:
                up_to[author_id, video_id] = max(up_to_id, up_to.get((author_id, video_id), 0))
        return up_to

    async def _in_video(self, author_id: str, video_id: str, up_to_id: int) -> AsyncIterator[list[int]]:
        """Bucket after bucket, in slices of time that the server filters quickly; newest bucket first"""
        limit, newest = self._settings.erase_slice_max, bucket_of(up_to_id)
        while True:
            buckets = [bucket for (bucket,) in await self._tables.run(BUCKETS, video_id, newest, limit)]
            for bucket in buckets:
                rows = await asyncio.gather(
                    *(
                        self._tables.run(COMMENTS_OF, video_id, bucket, low, min(high, up_to_id + 1), author_id)
                        for low, high in self._scans(bucket)
                        if low <= up_to_id
                    )
                )
                if found := [comment_id for some in rows for (comment_id,) in some]:
                    yield found
            if len(buckets) < limit:
                return
            newest = buckets[-1] - 1

    def _scans(self, bucket: int) -> Iterator[tuple[int, int]]:
        """From an id on, up to another: stretches of the bucket's time"""
        start, end = bucket * BUCKET_MS, (bucket + 1) * BUCKET_MS
        borders = [*range(start, end, self._settings.cassandra_scan_ms), end]
        return ((first_id_at(low), first_id_at(high)) for low, high in pairwise(borders))


def _slices(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    return (items[begin : begin + size] for begin in range(0, len(items), size))
