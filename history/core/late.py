"""Late comments: which comments of an append are late, and the stretches of ids in which they lie.

A comment is late if it becomes readable after newer ones of its video were: it waited in a spool, or was sent again.
Who has read past it meanwhile learns of it by a notice (`history.store.Notices`), a Stretch.
Rule 1: no clock; `now_ms` comes in.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from history.core.ids import first_id_at
from history.core.model import Comment

ALL_VIDEOS = ""
"""Stands in the place of a video's id; it is no video's id."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Ids of one video, or of ALL_VIDEOS, both ends included"""

    video_id: str
    low_id: int
    high_id: int


def late_among(comments: Iterable[Comment], now_ms: int, late_ms: int) -> list[Comment]:
    """Those whose ids were given more than late_ms ago"""
    late_below = first_id_at(now_ms - late_ms)
    return [comment for comment in comments if comment.id < late_below]


def stretches(comments: Iterable[Comment], videos_max: int) -> list[Stretch]:
    """One for each video, around all of its comments; or one of all videos if these are more than videos_max"""
    ids: dict[str, list[int]] = {}
    for comment in comments:
        ids.setdefault(comment.video_id, []).append(comment.id)
    if len(ids) > videos_max:
        return [Stretch(ALL_VIDEOS, min(map(min, ids.values())), max(map(max, ids.values())))]
    return [Stretch(video_id, min(found), max(found)) for video_id, found in ids.items()]


def late_notices(rows: Sequence[tuple[str, int, int]], now_ms: int, rows_max: int) -> list[Stretch]:
    """The rows (video, low id, high id) as stretches; if they are more than rows_max, one of everything up to now_ms.

    That one differs each time, so whoever skips the notices that he knows already doesn't skip it.
    """
    if len(rows) > rows_max:
        return [Stretch(ALL_VIDEOS, 0, first_id_at(now_ms))]
    return [Stretch(*row) for row in rows]
