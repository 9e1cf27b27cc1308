"""The store's contract. tests/history/contract.py holds every implementation to it.

What each method promises is promised across processes: what `append` has returned for in one process, a read that
begins afterwards in another process sees.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from history.core.model import Comment
from history.core.video import Video


class StoreError(Exception):
    """The store can't do it. The caller's request was right."""


class StoreUnavailable(StoreError):
    """The store is away, slow or overloaded. The same call may work later; whether an `append` was done is unknown,
    and repeating it is safe."""


class StoreOverloaded(StoreUnavailable):
    """More is waiting to be written than the caller allows (GroupCommit's `pending_max`). Nothing was stored."""


class Reader(Protocol):
    """What an RMS may do."""

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
        """Lets go of files and connections. Calls under way may fail."""
        ...


class Store(Reader, Protocol):
    """What comment_service may do."""

    async def append(self, comments: Sequence[Comment]) -> None:
        """Returns when all of them are durable: they survive kill -9 of this process and of the store's.

        Idempotent by id. After an error some of them may be stored. Raises StoreUnavailable.
        """
        ...


class Erasing(Protocol):
    """What the law asks for. All of it is durable when it returns, safe to repeat, and raises StoreUnavailable.

    What is promised: an erased comment is gone from every read that begins afterwards, and no append of it, however
    late (a resend, another node's spool), brings it back. A barred author's comments that reach the store later,
    because they waited elsewhere, are never stored either; on Cassandra that holds for those that come
    `late_ms` or more after their id was given (see cassandra_erasing.py), on SQLite for all.
    """

    async def erase(self, video_id: str, ids: Sequence[int]) -> None:
        """The comments with these ids are gone for ever; also those that were never stored."""
        ...

    async def erased_since(self, since_ms: int, now_ms: int) -> list[tuple[str, int]]:
        """Videos and ids of what any process erased from then on until now, by that process's clock: for whoever keeps
        copies. Goes back an hour at most; costs a read of what it returns."""
        ...

    async def bar_author(self, author_id: str, video_id: str | None, up_to_id: int) -> None:
        """From now on no comment of that author (in that video, or in all) up to that id is stored. Erases nothing
        that is stored already: `comments_of` finds it."""
        ...

    def comments_of(self, author_id: str, video_id: str | None, up_to_id: int) -> AsyncIterator[tuple[str, list[int]]]:
        """The author's stored comments up to that id, as a video and some ids at a time. Erasing what came already
        while it goes on is right."""
        ...


ALL_VIDEOS = ""
"""In the place of a video's id"""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Ids of one video or of all, both ends included"""

    video_id: str
    low_id: int
    high_id: int


class Telling(Protocol):
    """What readers that keep copies must hear of: comments that were appended `late_ms` or more after their ids were
    given, as by a spool that is drained. Others come before anybody takes a stretch of ids for closed."""

    async def late_since(self, since_ms: int, now_ms: int) -> list[Stretch]:
        """Where such comments lie that any process appended from then on until now, by that process's clock; a read
        that begins now sees them. Some may be told twice; if they are too many it is one of everything. Goes back an
        hour at most. Raises StoreUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Claim:
    """One author's Idempotency-Key in one video, and the comment that it stands for."""

    author_id: str
    video_id: str
    key: str
    comment_id: int
    created_at_ms: int
    digest: bytes  # of what was said, to tell a retry from another comment under the same key


class Records(Protocol):
    """The small things beside the comments. All raise StoreUnavailable."""

    async def add_video(self, video: Video) -> bool:
        """False, and nothing changes, if there is one with that id. Durable."""
        ...

    async def change_video(self, before: Video, after: Video) -> bool:
        """Sets the times, if they are still those of `before`. False: they were not, or this call was repeated by the
        driver; nothing changed now. Durable."""
        ...

    async def video(self, video_id: str) -> Video | None: ...

    async def claim_keys(
        self, claims: Sequence[Claim], now_ms: int, keep_ms: int
    ) -> Sequence[Claim | StoreUnavailable]:
        """For each the claim of its key that stands, this one or another one; the same for everybody who asks while
        keys are kept, for keep_ms at least. An error in its place: that can't be said of this key now.

        At least as durable as any append that begins after it returned: a crash never leaves a comment without it.
        """
        ...

    async def claim_node(self, node: int, holder: str, words: str, now_ms: int, lease_ms: int) -> str | None:
        """None: the node number belongs to the holder for lease_ms from now, as it may have done before. Else the words
        of who holds it. Durable."""
        ...

    async def release_node(self, node: int, holder: str) -> None:
        """The number is free at once, if it was the holder's."""
        ...

    async def sweep(self, now_ms: int) -> int:
        """Takes away what has expired, as far as the store doesn't do so by itself; how many rows. Call it now and
        then; two at once do no harm."""
        ...


class History(Store, Erasing, Telling, Records, Protocol):
    """All that a store can do"""
