"""The data types of what was said: a comment, the other events of a video's log, a page of comments, and their JSON."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import msgspec

from history.core.ids import format_id, parse_id

VIDEO_ID_BYTES_MAX = 128
"""Long enough for any platform's ids and UUIDs with a prefix, short enough for a key."""

_VIDEO_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.:~-]{0,127}")

_json = msgspec.json.Encoder().encode


class InvalidVideoId(ValueError):
    """The text can't be a video's id; says what can."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"{text[:40]!r} is no video id: 1 to {VIDEO_ID_BYTES_MAX} of A-Z a-z 0-9 _ - . : ~, "
            "the first a letter, a digit, _ or -"
        )


def check_video_id(text: str) -> str:
    """Returns the text, or raises InvalidVideoId. The characters need no escaping in a URL, a log or a shell."""
    if not _VIDEO_ID.fullmatch(text):
        raise InvalidVideoId(text)
    return text


class Author(msgspec.Struct, frozen=True, gc=False):
    id: str
    name: str


class Comment(msgspec.Struct, frozen=True, gc=False):
    """A comment as it was accepted. `id` is 64-bit and time-ordered (see history/core/ids.py). A Struct, because there
    are many: it is made ten times as fast as a frozen dataclass, and the garbage collector doesn't visit it."""

    id: int
    video_id: str
    author: Author
    message: str
    created_at_ms: int
    after_id: int = 0
    """The event of the same video to which the same comment_service gave its last id before. 0: not known"""


class State(IntEnum):
    """Of a comment. Hidden and visible may alternate; erased is for ever. A part of SQLite's schema."""

    VISIBLE = 0
    HIDDEN = 1
    ERASED = 2


ERASED, HIDDEN, RESTORED, AUTHOR_PURGED = "erased", "hidden", "restored", "author_purged"
"""The kinds of Change that history itself knows"""


class Change(msgspec.Struct, frozen=True, gc=False):
    """Any event of a video's log that isn't a comment. Kinds that this release doesn't know are kept and passed on."""

    id: int
    video_id: str
    kind: str
    target_id: int = 0
    """The comment that it is about"""
    data: bytes = b""
    """JSON for viewers. Of `restored` it is the comment, if that can be seen. Of `erased` it is `withdrawn_json`, or
    empty."""
    author_id: str = ""
    """Of `author_purged`, for as long as it may be named"""
    up_to_id: int = 0
    """Of `author_purged`: his comments up to this id are gone."""
    after_id: int = 0
    """As a comment's"""


class Gone(msgspec.Struct, frozen=True, gc=False):
    """Stands for a comment that is hidden or erased: it is counted, and never shown."""

    id: int
    video_id: str
    after_id: int = 0
    """As a comment's"""


Event = Comment | Change | Gone
"""One entry of a video's log"""


class Found(NamedTuple):
    """A comment that is stored. An erased one has no text and no author."""

    state: State
    comment: Comment
    changed_id: int
    """Of the last change that hid or restored it. 0: none has"""
    stands_id: int = 0
    """Of an erased one that was accepted twice: the one that stays. 0: it was erased as any other"""


class Comments(NamedTuple):
    """Visible comments, and how far they were looked for"""

    comments: list[Comment]
    next_id: int | None
    """The last row that was examined: the next call goes on from there. None: there is nothing more."""


@dataclass(frozen=True, slots=True)
class Page:
    """Comments, newest first, and where the next (older) page begins; None: no comments are older."""

    comments: Sequence[Comment]
    next_cursor: int | None


def comment_json(comment: Comment) -> bytes:
    """One line of JSON. U+0000-U+001F are escaped; everything else is plain UTF-8."""
    return b'{"id":"%016x","liveVideoId":%b,"author":{"id":%b,"name":%b},"message":%b,"createdAt":%d}' % (
        comment.id,
        _json(comment.video_id),
        _json(comment.author.id),
        _json(comment.author.name),
        _json(comment.message),
        comment.created_at_ms,
    )


def withdrawn_json(comment_id: int, stands_id: int) -> bytes:
    """The data of an `erased` for a comment that was accepted twice: `standsAs` is the one that stays."""
    return b'{"id":"%016x","standsAs":"%016x"}' % (comment_id, stands_id)


class _Withdrawn(msgspec.Struct):
    standsAs: str = ""  # noqa: N815  (as viewers get it)


def stands_as(change: Change) -> int:
    """Of `erased`: the id of the comment that stays of two. 0: it wasn't accepted twice"""
    if change.kind != ERASED or not change.data:
        return 0
    stands = msgspec.json.decode(change.data, type=_Withdrawn).standsAs
    return parse_id(stands) if stands else 0


def as_server_sent(change: Change) -> tuple[str, bytes]:
    """The name and the data of the server-sent event by which viewers get it; no data: they get nothing.

    What is hidden or erased is `deleted`. A kind that isn't known here goes by its own name and data.
    """
    if change.kind in (ERASED, HIDDEN):
        return "deleted", change.data or b'{"id":"%016x"}' % change.target_id
    if change.kind == AUTHOR_PURGED:
        named = b'{"authorId":%b,"upTo":"%016x"}' % (_json(change.author_id), change.up_to_id)
        return change.kind, named if change.author_id else b""
    return change.kind, change.data


def page_json(page: Page) -> bytes:
    """`{"comments": [...], "nextCursor": "..." or null}`"""
    cursor = b"null" if page.next_cursor is None else b'"%b"' % format_id(page.next_cursor).encode()
    return b'{"comments":[%b],"nextCursor":%b}' % (b",".join(map(comment_json, page.comments)), cursor)
