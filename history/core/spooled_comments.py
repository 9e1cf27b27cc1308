"""The comments that a spool holds, by video and in the order of ids. Pages of this node include them.

Rule 1: no clock and no file. spool/files.py adds what has become durable, and removes what was drained.
"""

import heapq
from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import groupby, islice

from history.core.late import ALL_VIDEOS
from history.core.model import Comment, Comments


class SpooledComments:
    """A comment that is added twice counts once, and is removed once."""

    def __init__(self) -> None:
        self._ids: dict[str, list[int]] = {}  # of each video, ascending
        self._comments: dict[str, dict[int, Comment]] = {}  # of each video, by id

    def __len__(self) -> int:
        return sum(map(len, self._ids.values()))

    def add(self, comments: Iterable[Comment]) -> None:
        for comment in comments:
            known = self._comments.setdefault(comment.video_id, {})
            if comment.id not in known:
                known[comment.id] = comment
                insort(self._ids.setdefault(comment.video_id, []), comment.id)

    def remove(self, comments: Iterable[Comment]) -> None:
        videos: defaultdict[str, list[int]] = defaultdict(list)
        for comment in comments:
            videos[comment.video_id].append(comment.id)
        for video_id, ids in videos.items():
            self.evict(video_id, ids)

    def evict(self, video_id: str, ids: Iterable[int]) -> None:
        """Removes these ids of that video. Unknown ones change nothing."""
        known = self._comments.get(video_id, {})
        for comment_id in ids:
            known.pop(comment_id, None)
        if known:
            self._ids[video_id] = [comment_id for comment_id in self._ids[video_id] if comment_id in known]
        else:
            self._comments.pop(video_id, None)
            self._ids.pop(video_id, None)

    def evict_author(self, author_id: str, video_id: str, up_to_id: int) -> None:
        """Removes his comments up to that id, of that video or of ALL_VIDEOS."""
        for each in list(self._comments) if video_id == ALL_VIDEOS else [video_id]:
            known = self._comments.get(each, {}).values()
            self.evict(each, [said.id for said in known if said.author.id == author_id and said.id <= up_to_id])

    def reaches(self, video_id: str, comment_id: int) -> bool:
        """Whether it holds a comment of that video with this id or a smaller one"""
        ids = self._ids.get(video_id, [])
        return bool(ids) and ids[0] <= comment_id

    def older(self, video_id: str, before: int | None, limit: int) -> list[Comment]:
        ids = self._ids.get(video_id, [])
        end = len(ids) if before is None else bisect_left(ids, before)
        return [self._comments[video_id][comment_id] for comment_id in reversed(ids[max(0, end - limit) : end])]

    def newer(self, video_id: str, after: int, limit: int) -> list[Comment]:
        ids = self._ids.get(video_id, [])
        begin = bisect_right(ids, after)
        return [self._comments[video_id][comment_id] for comment_id in ids[begin : begin + limit]]


def merged(stored: Comments, spooled: Sequence[Comment], limit: int, *, newest_first: bool) -> Comments:
    """Each id once; a spooled comment may be in the store already. Not beyond the rows that the store has examined."""
    end = stored.next_id
    if end is not None:
        spooled = [each for each in spooled if (each.id >= end if newest_first else each.id <= end)]
    both = heapq.merge(stored.comments, spooled, key=lambda comment: comment.id, reverse=newest_first)
    both_once = list(islice((next(same) for _, same in groupby(both, key=lambda comment: comment.id)), limit))
    return Comments(both_once, both_once[-1].id if 0 < limit == len(both_once) else end)
