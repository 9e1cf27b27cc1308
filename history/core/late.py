"""Which of an append's comments come late, and where: what stores tell each other's readers (`history.store.Telling`).

Rule 1: no clock; `now_ms` comes in.
"""

from collections.abc import Iterable, Sequence

from history.core.ids import first_id_at
from history.core.model import Comment
from history.store import ALL_VIDEOS, Stretch


def late_among(comments: Iterable[Comment], now_ms: int, late_ms: int) -> list[Comment]:
    """Those whose ids were given late_ms ago or earlier"""
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


def told(rows: Sequence[tuple[str, int, int]], now_ms: int, rows_max: int) -> list[Stretch]:
    """What was read, as stretches; if there are more rows than that, one of everything up to now. That is another one
    each time, so nobody takes it for the one that he has heard of."""
    if len(rows) > rows_max:
        return [Stretch(ALL_VIDEOS, 0, first_id_at(now_ms))]
    return [Stretch(*row) for row in rows]
