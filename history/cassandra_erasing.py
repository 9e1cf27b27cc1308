"""Erasing in Cassandra, so that nothing comes back.

Two things keep an erased comment away, each where the other can't:
- The row's own tombstone. A comment's write timestamp is its id's time, and the erasure's lies a day above it, so the
  erasure wins whatever the clocks say and whichever comes first: an append that is under way loses against it.
- A row in `erased`, for ever. The tombstone ends after gc_grace_seconds; a spool that is drained after weeks is asked
  for there. So are barred authors, whose comments nobody may have seen yet. Only late appends pay for these reads.

What is left open: a comment of a barred author that was given its id less than `late_ms` ago, on another
node, and isn't stored yet when `comments_of` looks. Who erases an author looks a second time after that while.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import pairwise

from history.cassandra_batches import written_us
from history.cassandra_tables import MINUTE_MS, CassandraTables, Partition, bucket_of
from history.config import BUCKET_MS
from history.ids import first_id_at
from history.late import late_among
from history.model import Comment

ERASURE_AHEAD_US = 86_400_000_000
"""A day: also above what a process wrote whose statements carried its clock's time, not the id's"""

EVERYWHERE = ""
MARK = "INSERT INTO $keyspace.erased (video_id, bucket, id) VALUES (?, ?, ?)"
DELETE = "DELETE FROM $keyspace.comments USING TIMESTAMP ? WHERE video_id = ? AND bucket = ? AND id = ?"
MARKED = "SELECT id FROM $keyspace.erased WHERE video_id = ? AND bucket = ? AND id IN ?"
TELL = "INSERT INTO $keyspace.erasures (minute, at_ms, video_id, id) VALUES (?, ?, ?, ?)"
TOLD = "SELECT video_id, id FROM $keyspace.erasures WHERE minute = ? AND at_ms >= ?"
BAR = "INSERT INTO $keyspace.barred_authors (author_id, video_id, up_to_id) VALUES (?, ?, ?)"
BARRED = """SELECT up_to_id FROM $keyspace.barred_authors WHERE author_id = ? AND video_id IN ? AND up_to_id >= ?"""
VIDEOS_OF = "SELECT video_id FROM $keyspace.videos_by_author WHERE author_id = ? AND video_id > ? LIMIT ?"
BUCKETS = "SELECT bucket FROM $keyspace.buckets WHERE video_id = ? AND bucket <= ? LIMIT ?"
# Filtering, but only among some rows of one partition.
COMMENTS_OF = """
SELECT id FROM $keyspace.comments WHERE video_id = ? AND bucket = ? AND id >= ? AND id < ? AND author_id = ?
ALLOW FILTERING
"""


class CassandraErasing(CassandraTables):
    async def erase(self, video_id: str, ids: Sequence[int]) -> None:
        """First the marks, then the rows, then the word to those with copies: after a crash in between, erasing again
        does the rest."""
        slices = [
            ids[n : n + self._settings.erase_slice_max] for n in range(0, len(ids), self._settings.erase_slice_max)
        ]
        for some in slices:
            partitions: defaultdict[Partition, list[int]] = defaultdict(list)
            for comment_id in some:
                partitions[video_id, bucket_of(comment_id)].append(comment_id)
            await self._in_batches(MARK, [[(*name, each) for each in found] for name, found in partitions.items()])
            await self._in_batches(
                DELETE,
                [
                    [(written_us(each) + ERASURE_AHEAD_US, *name, each) for each in found]
                    for name, found in partitions.items()
                ],
            )
            at_ms = time.time_ns() // 1_000_000
            await self._in_batches(TELL, [[(at_ms // MINUTE_MS, at_ms, video_id, each) for each in some]])

    async def erased_since(self, since_ms: int, now_ms: int) -> list[tuple[str, int]]:
        return [(video_id, comment_id) for video_id, comment_id in await self._told(TOLD, since_ms, now_ms)]

    async def bar_author(self, author_id: str, video_id: str | None, up_to_id: int) -> None:
        await self._run(BAR, author_id, video_id or EVERYWHERE, up_to_id)

    async def comments_of(
        self, author_id: str, video_id: str | None, up_to_id: int
    ) -> AsyncIterator[tuple[str, list[int]]]:
        if video_id is not None:
            async for found in self._in_video(author_id, video_id, up_to_id):
                yield video_id, found
            return
        limit, last = self._settings.erase_slice_max, EVERYWHERE
        while True:
            videos = [name for (name,) in await self._run(VIDEOS_OF, author_id, last, limit)]
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
        partitions: defaultdict[Partition, list[int]] = defaultdict(list)
        authors: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for comment in late:
            partitions[comment.video_id, bucket_of(comment.id)].append(comment.id)
            authors[comment.author.id, comment.video_id].append(comment.id)
        marked, barred = await asyncio.gather(
            asyncio.gather(*(self._run(MARKED, *name, ids) for name, ids in partitions.items())),
            asyncio.gather(
                *(
                    self._run(BARRED, author_id, [video_id, EVERYWHERE], min(ids))
                    for (author_id, video_id), ids in authors.items()
                )
            ),
        )
        gone = {(name[0], found) for name, rows in zip(partitions, marked, strict=True) for (found,) in rows}
        up_to = {name: max((row[0] for row in rows), default=0) for name, rows in zip(authors, barred, strict=True)}
        return [
            comment
            for comment in comments
            if (comment.video_id, comment.id) not in gone
            and comment.id > up_to.get((comment.author.id, comment.video_id), 0)
        ]

    async def _in_video(self, author_id: str, video_id: str, up_to_id: int) -> AsyncIterator[list[int]]:
        """Bucket after bucket, in slices of time that the server filters quickly; newest bucket first"""
        limit, newest = self._settings.erase_slice_max, bucket_of(up_to_id)
        while True:
            buckets = [bucket for (bucket,) in await self._run(BUCKETS, video_id, newest, limit)]
            for bucket in buckets:
                rows = await asyncio.gather(
                    *(
                        self._run(COMMENTS_OF, video_id, bucket, low, min(high, up_to_id + 1), author_id)
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
