"""A row of a video's log, as both stores read it, and the event that it is."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from history.core.model import RESTORED, Author, Change, Comment, Comments, Event, Found, Gone, State, comment_json


class LogRow(msgspec.Struct, frozen=True, gc=False):
    """A comment has the kind ''. A row without a text, whose state alone was written, is an erased comment's."""

    id: int
    author_id: str
    author_name: str
    message: str
    created_at_ms: int
    state: int
    kind: str = ""
    target_id: int = 0
    up_to_id: int = 0
    data: bytes = b""
    after_id: int = 0


def is_visible(row: LogRow) -> bool:
    """Whether it is a comment that can be seen"""
    return not row.state and not row.kind


def comment_of(video_id: str, row: LogRow) -> Comment:
    author = Author(row.author_id, row.author_name)
    return Comment(row.id, video_id, author, row.message, row.created_at_ms, row.after_id)


def found_in(video_id: str, row: LogRow, changed_id: int) -> Found | None:
    """None: it is no comment's row. An erased comment's target is the one that stands for it."""
    return None if row.kind else Found(State(row.state), comment_of(video_id, row), changed_id, row.target_id)


def event_of(video_id: str, row: LogRow) -> Event:
    if row.kind:
        return Change(row.id, video_id, row.kind, row.target_id, row.data, row.author_id, row.up_to_id, row.after_id)
    return Gone(row.id, video_id, row.after_id) if row.state else comment_of(video_id, row)


def is_others(row: LogRow, event: Comment | Change) -> bool:
    """Whether the row, which stands under the event's id, is something else's. An erased comment has kept only its
    time, and that only if it was stored before."""
    if isinstance(event, Change):
        return (row.kind, row.target_id, row.up_to_id) != (event.kind, event.target_id, event.up_to_id)
    if row.kind:
        return True
    if row.state == State.ERASED:
        return row.created_at_ms not in (0, event.created_at_ms)
    own = (event.author.id, event.author.name, event.message, event.created_at_ms)
    return (row.author_id, row.author_name, row.message, row.created_at_ms) != own


def taken_ids(rows: Mapping[tuple[str, int], LogRow], events: Iterable[Comment | Change]) -> list[int]:
    """The ids of those events under which something else stands. rows: by video and id."""
    return [
        each.id for each in events if (row := rows.get((each.video_id, each.id))) is not None and is_others(row, each)
    ]


def restored_ids(events: Iterable[Event]) -> list[int]:
    return [event.target_id for event in events if isinstance(event, Change) and event.kind == RESTORED]


def with_restored(events: Sequence[Event], visible: Mapping[int, Comment]) -> list[Event]:
    """The events with the restored comments' JSON, for those that can be seen"""
    return [
        msgspec.structs.replace(event, data=comment_json(visible[event.target_id]))
        if isinstance(event, Change) and event.kind == RESTORED and event.target_id in visible
        else event
        for event in events
    ]


class Looking:
    """Collects up to `limit` visible comments from a log that is read stretch by stretch, in either direction, and
    examines no more than `rows_max` rows, or the first `limit`. So a long stretch of rows that nobody sees is walked
    with bounded calls."""

    def __init__(self, video_id: str, limit: int, rows_max: int) -> None:
        self._video_id = video_id
        self._limit = limit
        self._left = rows_max
        self._comments: list[Comment] = []
        self.size = limit
        """Rows to read next"""

    def take(self, rows: Sequence[LogRow]) -> Comments | None:
        """The next `size` rows, or as many as there are. None: read on behind the last of them."""
        wanted = self._limit - len(self._comments)
        visible = [row for row in rows if not row.state and not row.kind]
        taken = visible[:wanted]
        self._comments += [comment_of(self._video_id, row) for row in taken]
        is_end = len(rows) < self.size
        if len(taken) == wanted and not (is_end and taken[-1] is rows[-1]):
            return Comments(self._comments, taken[-1].id)
        self._left -= len(rows)
        if is_end or self._left <= 0:
            return Comments(self._comments, None if is_end else rows[-1].id)
        self.size = min(self._left, max(2 * self.size, ROWS_MIN))
        return None


ROWS_MIN = 100
"""In one read after the first: where something is hidden, more may be"""
