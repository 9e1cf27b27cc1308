"""The contract of every store. `tests/history/contract.py` holds each implementation to it.

What each method promises is promised across processes: what `append` has returned for in one process, a read that
begins afterwards in another process sees.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import msgspec

from history.core.late import Stretch
from history.core.model import Comment
from history.core.video import Video


class StoreError(Exception):
    """The store failed. The caller's request was right."""


class StoreUnavailable(StoreError):
    """The store is away, slow or overloaded. The same call may work later; whether an `append` was done is unknown,
    and repeating it is safe."""


class StoreOverloaded(StoreUnavailable):
    """More is waiting to be written than the caller allows (GroupCommit's `pending_max`). Nothing was stored."""


class Reader(Protocol):
    """What an RMS may do"""

    async def older(self, video_id: str, before: int | None, limit: int) -> list[Comment]:
        """Up to `limit` comments with an id below `before` (None: the newest), newest first.

        Fewer than `limit` means that there are no more. Raises StoreUnavailable.
        """
        ...

    async def newer(self, video_id: str, after: int, limit: int) -> list[Comment]:
        """Up to `limit` comments with an id above `after`, oldest first; the lowest ids if there are more.

        Raises StoreUnavailable.
        """
        ...

    async def check(self) -> None:
        """Returns when the store answers; raises StoreUnavailable when it doesn't within its time-out."""
        ...

    async def close(self) -> None:
        """Closes files and connections. Calls under way may fail."""
        ...


class Claim(msgspec.Struct, frozen=True, gc=False):
    """One author's Idempotency-Key in one video, and the comment that it stands for"""

    author_id: str
    video_id: str
    key: str
    comment_id: int
    created_at_ms: int
    digest: bytes  # of the comment's text, to tell a retry from another comment under the same key


Claimed = tuple[Comment, Claim]
"""A comment, and its claim of a key for itself"""

Outcome = Claim | StoreUnavailable
"""The claim of a key that holds, or why that isn't known now"""


def own_comments(items: Sequence[Claimed], outcomes: Sequence[Outcome]) -> list[Comment]:
    """Those that an `append_claimed` with these outcomes has appended"""
    return [
        comment
        for (comment, _), outcome in zip(items, outcomes, strict=True)
        if isinstance(outcome, Claim) and outcome.comment_id == comment.id
    ]


class Store(Reader, Protocol):
    """Reads and writes comments"""

    async def append(self, comments: Sequence[Comment]) -> None:
        """Returns when all of them are durable: they survive kill -9 of this process and of the store's.

        Idempotent by id. After an error some of them may be stored. Raises StoreUnavailable.
        """
        ...

    async def append_claimed(self, items: Sequence[Claimed], now_ms: int, keep_ms: int) -> Sequence[Outcome]:
        """Appends those comments whose claim of their key holds. For each, the claim of its key that holds: its own, or
        an earlier one, and then nothing of this comment can be read afterwards. All who ask get the same one as long as
        keys are kept: keep_ms from now at least.

        Durable as after `append`; a crash never leaves a comment without its claim. Safe to repeat. After an error some
        of the comments may be stored, each with its claim. Raises StoreUnavailable.
        """
        ...


class Erasing(Protocol):
    """What the law asks for. All of it is durable when it returns, safe to repeat, and raises StoreUnavailable.

    An erased comment is gone from every read that begins afterwards, and no append of it brings it back, however long
    it waited (to be sent again, or in another node's spool). A barred author's comments that reach the store later,
    because they waited elsewhere, are never stored either; on Cassandra that holds for those that come `late_ms` or
    more after their id was given (see cassandra/erasing.py), on SQLite for all.
    """

    async def erase(self, video_id: str, ids: Sequence[int]) -> None:
        """The comments with these ids are gone for ever; also those that were never stored."""
        ...

    async def bar_author(self, author_id: str, video_id: str | None, up_to_id: int) -> None:
        """From now on no comment of that author (in that video, or in all) up to that id is stored. Erases nothing
        that is stored already: `comments_of` finds it."""
        ...

    def comments_of(self, author_id: str, video_id: str | None, up_to_id: int) -> AsyncIterator[tuple[str, list[int]]]:
        """The author's stored comments up to that id, as a video and some ids at a time. The caller may erase what it
        has got before it asks for more."""
        ...


class Notices(Protocol):
    """What any process has announced to those that keep copies. A read that begins after a notice was seen sees the
    change. Both go back an hour at most, cost a read of what they return, and raise StoreUnavailable.

    since_ms, now_ms: by the announcing process's clock. A notice may be returned again.
    """

    async def erased_since(self, since_ms: int, now_ms: int) -> list[tuple[str, int]]:
        """Videos and ids of the comments that were erased in that time"""
        ...

    async def late_since(self, since_ms: int, now_ms: int) -> list[Stretch]:
        """Where late comments lie that were appended in that time, `late_ms` or more after their ids were given; if
        there are too many, one stretch of everything. Comments that aren't late come before anybody takes a stretch of
        ids for closed."""
        ...


class Videos(Protocol):
    """Videos as things: their titles, owners and times. Durable when it returns; raises StoreUnavailable."""

    async def add_video(self, video: Video) -> bool:
        """Adds and announces it. False, and nothing changes, if there is one with that id."""
        ...

    async def change_video(self, before: Video, after: Video) -> bool:
        """Sets the times, if they are still those of `before`, and announces it, also when they are the same: then it
        announces what another process may have stored and not announced. False: they were not, or the driver has
        repeated this call; nothing changed now."""
        ...

    async def video(self, video_id: str) -> Video | None:
        """None: nobody has added it."""
        ...

    async def videos(self, video_ids: Sequence[str]) -> list[Video]:
        """Those of them that somebody has added, in any order; one query for many"""
        ...

    async def changed_videos(self, since_ms: int, now_ms: int) -> list[Video] | None:
        """The videos that any process has added or changed since then by its own clock, as they are now, perhaps
        others beside them, each perhaps several times. A read of what changed. None: too many, or too long ago.

        since_ms, now_ms: by the caller's clock.
        """
        ...


class Nodes(Protocol):
    """Node numbers, of which each belongs to one process for a time. Raises StoreUnavailable."""

    async def claim_node(self, node: int, holder: str, words: str, now_ms: int, lease_ms: int) -> str | None:
        """None: the node number belongs to the holder for lease_ms from now, for the first time or again. Else the
        words of its other holder. Durable."""
        ...

    async def release_node(self, node: int, holder: str) -> None:
        """The number is free at once, if it was the holder's."""
        ...


class History(Store, Erasing, Notices, Videos, Nodes, Protocol):
    """All that a store can do: what comment_service uses"""

    async def sweep(self, now_ms: int) -> int:
        """Deletes what has expired, unless the store does so by itself, and returns how many rows. Call it now and
        then; two processes may do so at once. Raises StoreUnavailable."""
        ...
