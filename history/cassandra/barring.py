"""Which comments an append must not store, because they are gone already.

A late comment is looked up, with one or two reads for a batch: its author among the barred, and itself among what
earlier releases have erased, if there is any. A younger one is compared with the purges that this process remembers:
looking each up would double the cost of a comment. One that was sent just before a purge, and arrives just after it or
hours later (by a hint), is stored; the purge's next look finds it, and until then the readers of processes that
remember the purge pass it over.

A purged author's comment that comes again is erased, not only passed over: its first append may have failed, or been
killed, where its author is registered. Then it is stored, and no look of the purge finds it.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

from history.cassandra.tables import CassandraTables, Partition, bucket_of
from history.config import StoreSettings
from history.core.late import ALL_VIDEOS, late_among
from history.core.model import Comment
from history.core.purges import RecentPurges, author_hash

Item = TypeVar("Item")

MARKED = "SELECT id FROM $keyspace.erased WHERE video_id = ? AND bucket = ? AND id IN ?"
IS_ANY_MARKED = "SELECT id FROM $keyspace.erased LIMIT 1"
BARRED = "SELECT author, up_to_id FROM $keyspace.barred WHERE author IN ? AND video_id IN ? AND up_to_id >= ?"
BARRED_BY_NAME = """
SELECT author_id, up_to_id FROM $keyspace.barred_authors WHERE author_id IN ? AND video_id IN ? AND up_to_id >= ?
"""
IS_ANY_BARRED_BY_NAME = "SELECT up_to_id FROM $keyspace.barred_authors LIMIT 1"

UpTo = dict[tuple[str, str], int]
"""Author and video -> up to which id his comments are gone"""


class Barring:
    """Call `look_for_old_marks` once before `without_gone`."""

    def __init__(
        self,
        tables: CassandraTables,
        recent: RecentPurges,
        erase: Callable[[str, Sequence[int]], Awaitable[None]],
        settings: StoreSettings,
    ) -> None:
        """erase: the store's."""
        self._tables = tables
        self._recent = recent
        self._erase = erase
        self._settings = settings
        self._has_marks = self._has_names = True

    async def look_for_old_marks(self) -> None:
        """Only earlier releases have written these two tables. They don't run beside this one."""
        self._has_marks = bool(await self._tables.run(IS_ANY_MARKED))
        self._has_names = bool(await self._tables.run(IS_ANY_BARRED_BY_NAME))

    async def without_gone(self, comments: Sequence[Comment], now_ms: int) -> Sequence[Comment]:
        """What may be stored; what is barred is erased. Live comments cost no read."""
        late = late_among(comments, now_ms, self._settings.late_ms)
        if not late and not self._recent:
            return comments
        marked: set[tuple[str, int]] = set()
        up_to: UpTo = {}
        if late:
            marked, up_to = await asyncio.gather(self._marked(late), self._barred_up_to(late))
        kept = []
        barred: defaultdict[str, list[int]] = defaultdict(list)
        for each in comments:
            name = (each.author.id, each.video_id)
            if each.id <= up_to.get(name, 0) or self._recent.bar(*name, each.id):
                barred[each.video_id].append(each.id)
            elif (each.video_id, each.id) not in marked:
                kept.append(each)
        await asyncio.gather(*(self._erase(video_id, ids) for video_id, ids in barred.items()))
        return kept

    async def _marked(self, comments: Sequence[Comment]) -> set[tuple[str, int]]:
        """Those of them that earlier releases have erased"""
        if not self._has_marks:
            return set()
        partitions: defaultdict[Partition, list[int]] = defaultdict(list)
        for comment in comments:
            partitions[comment.video_id, bucket_of(comment.id)].append(comment.id)
        found = await asyncio.gather(*(self._tables.run(MARKED, *name, ids) for name, ids in partitions.items()))
        return {(name[0], marked) for name, rows in zip(partitions, found, strict=True) for (marked,) in rows}

    async def _barred_up_to(self, comments: Sequence[Comment]) -> UpTo:
        """For their authors and videos, as far as there is an id. Asks for many authors at once: one by one, this is
        what draining a spool would mostly wait for."""
        authors: defaultdict[str, set[str]] = defaultdict(set)
        for comment in comments:
            authors[comment.video_id].add(comment.author.id)
        low_id, size = min(comment.id for comment in comments), self._settings.cassandra_authors_asked_max
        asked = [(video_id, some) for video_id, names in authors.items() for some in slices(sorted(names), size)]
        up_to: UpTo = {}
        for found in await asyncio.gather(*(self._of_video(video_id, some, low_id) for video_id, some in asked)):
            for name, up_to_id in found:
                up_to[name] = max(up_to_id, up_to.get(name, 0))
        return up_to

    async def _of_video(self, video_id: str, names: Sequence[str], low_id: int) -> list[tuple[tuple[str, str], int]]:
        hashed = {author_hash(name): name for name in names}
        videos = [video_id, ALL_VIDEOS]
        rows = [
            (hashed[author], up_to_id)
            for author, up_to_id in await self._tables.run(BARRED, list(hashed), videos, low_id)
        ]
        if self._has_names:
            rows += await self._tables.run(BARRED_BY_NAME, names, videos, low_id)
        return [((name, video_id), up_to_id) for name, up_to_id in rows]


def slices(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    return (items[begin : begin + size] for begin in range(0, len(items), size))
