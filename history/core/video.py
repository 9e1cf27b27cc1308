"""The states of a live video: planned, live, ended, and which may follow which. Stores only keep them.

Rule 1: no clock in here; `now_ms` comes in. Rule 2: an ended video stays ended, because a recording's offsets count
from its times.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import msgspec

from history.core.ids import format_id
from history.core.model import Author, Comment, comment_json

_json = msgspec.json.Encoder().encode


class State(StrEnum):
    PLANNED = "planned"
    LIVE = "live"
    ENDED = "ended"


class Order(StrEnum):
    START = "start"
    END = "end"


NEXT: dict[tuple[State, Order], State | None] = {
    (State.PLANNED, Order.START): State.LIVE,
    (State.PLANNED, Order.END): State.ENDED,  # called off
    (State.LIVE, Order.START): State.LIVE,  # a retry: nothing changes
    (State.LIVE, Order.END): State.ENDED,
    (State.ENDED, Order.START): None,
    (State.ENDED, Order.END): State.ENDED,
}
"""The state after an order; None: the order is refused"""


class VideoOver(ValueError):
    """An ended video can't be started again."""


@dataclass(frozen=True, slots=True)
class Video:
    """Times are milliseconds since 1970. A video that was called off has an end and no start."""

    id: str
    title: str
    owner: Author | None
    created_at_ms: int
    started_at_ms: int | None = None
    ended_at_ms: int | None = None
    planned_at_ms: int | None = None
    """when it is to begin; only told"""
    playback_url: str | None = None
    """where it can be watched: its stream (HLS) or its recording"""

    @property
    def state(self) -> State:
        if self.ended_at_ms is not None:
            return State.ENDED
        return State.PLANNED if self.started_at_ms is None else State.LIVE


def obey(video: Video, order: Order, now_ms: int) -> Video:
    """The video after the order; the same one if nothing changes. Raises VideoOver."""
    state = NEXT[video.state, order]
    if state is None:
        raise VideoOver(video.id)
    if state is video.state:
        return video
    if state is State.LIVE:
        return replace(video, started_at_ms=now_ms)
    # The clock may have stepped back; a video must not end before its start.
    return replace(video, ended_at_ms=max(now_ms, video.started_at_ms or 0))


def video_json(video: Video) -> bytes:
    """`{"id", "title", "owner", "state", "createdAt", "plannedAt", "startedAt", "endedAt", "playbackUrl"}`; times in ms
    since 1970 or null"""
    owner = None if video.owner is None else {"id": video.owner.id, "name": video.owner.name}
    return _json(
        {
            "id": video.id,
            "title": video.title,
            "owner": owner,
            "state": video.state,
            "createdAt": video.created_at_ms,
            "plannedAt": video.planned_at_ms,
            "startedAt": video.started_at_ms,
            "endedAt": video.ended_at_ms,
            "playbackUrl": video.playback_url,
        }
    )


def replay_json(comments: Sequence[Comment], started_at_ms: int, next_cursor: int | None) -> bytes:
    """`{"comments": [...], "nextCursor": "..." or null}`: oldest first, each with `offsetMs` from the video's start"""
    lines = (
        comment_json(comment)[:-1] + b',"offsetMs":%d}' % (comment.created_at_ms - started_at_ms)
        for comment in comments
    )
    cursor = b"null" if next_cursor is None else b'"%b"' % format_id(next_cursor).encode()
    return b'{"comments":[%b],"nextCursor":%b}' % (b",".join(lines), cursor)
