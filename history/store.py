"""The contract of every store. `tests/history/contract.py` holds each implementation to it.

What each method promises is promised across processes: what `append` has returned for in one process, a read that
begins afterwards in another process sees.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import msgspec

from history.core.ids import format_id
from history.core.late import Stretch
from history.core.model import Change, Comment, Comments, Event, Found
from history.core.purges import Purge
from history.core.video import Video

TAKEN_SHOWN = 3
"""ids in an error's words"""


class StoreError(Exception):
    """The store failed. The caller's request was right."""


class StoreUnavailable(StoreError):
    """The store is away, slow or overloaded. The same call may work later; whether an `append` was done is unknown,
    and repeating it is safe."""


class StoreRefuses(StoreUnavailable):
    """The same call fails until somebody mends the store or this program: a schema of a newer release, say, or a wrong
    statement. It is no outage: what a spool accepted meanwhile would perhaps never be stored."""


class IdTaken(StoreRefuses):
    """Something else stands under ids of this call: two processes have given them. What has these ids was not stored;
    of the rest some may be, and appending it again is safe."""

    def __init__(self, ids: Sequence[int]) -> None:
        super().__init__(ids)
        self.ids = frozenset(ids)

    def __str__(self) -> str:
        shown = ", ".join(map(format_id, sorted(self.ids)[:TAKEN_SHOWN]))
        return f"something else stands already under {len(self.ids)} ids ({shown}): two processes have given them"


class StoreOverloaded(StoreUnavailable):
    """More is waiting to be written than the caller allows (GroupCommit's `pending_max`). Nothing was stored."""


class Reader(Protocol):
    """What readers of pages need: comments that can be seen"""

    async def older(self, video_id: str, before: int | None, limit: int) -> Comments:
        """Up to `limit` visible comments with an id below `before` (None: the newest), newest first.

        Examines a bounded number of rows, so it may return fewer, or none, although there are more: `next_id` is the
        `before` of the next call, and None means that there are no more. Raises StoreUnavailable.
        """
        ...

    async def newer(self, video_id: str, after: int, limit: int) -> Comments:
        """Up to `limit` visible comments with an id above `after`, oldest first; the lowest ids if there are more.
        Bounded as `older`; `next_id` is the `after` of the next call. Raises StoreUnavailable."""
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


class Keys(Protocol):
    """Looks for claims, and makes none"""

    async def claim_of(self, author_id: str, video_id: str, key: str) -> Claim | None:
        """The claim of this key that holds, whose comment may not be stored yet. None: nobody has been told that one
        does, or it was too long ago. Raises StoreUnavailable."""
        ...


class Log(Reader, Protocol):
    """What an RMS may do: reads a video's log with all kinds of events in it. A comment that can't be seen comes as
    Gone, so each row is one event. A `restored` has the comment's JSON, unless that can't be seen now either."""

    async def events(self, video_id: str, after: int, limit: int) -> list[Event]:
        """Up to `limit` events with an id above `after`, oldest first; fewer: there are no more. Raises
        StoreUnavailable."""
        ...

    async def events_before(self, video_id: str, before: int | None, limit: int) -> list[Event]:
        """Up to `limit` events with an id below `before` (None: the newest), newest first; fewer: there are no more.
        Raises StoreUnavailable."""
        ...


class Store(Reader, Protocol):
    """Reads and writes comments"""

    async def append(self, comments: Sequence[Comment]) -> None:
        """Returns when all of them are durable: they survive kill -9 of this process and of the store's.

        Idempotent by id. After an error some of them may be stored. Raises StoreUnavailable, and IdTaken if another
        comment stands under one of the ids. Cassandra looks for that among comments that are `late_ms` old or older,
        as all are that two processes have spooled; of younger ones one stands then, whole, and nobody is told.
        """
        ...

    async def append_claimed(self, items: Sequence[Claimed], now_ms: int, keep_ms: int) -> Sequence[Outcome]:
        """Appends those comments whose claim of their key holds. For each, the claim of its key that holds: its own, or
        an earlier one, and then nothing of this comment can be read afterwards. All who ask get the same one as long as
        keys are kept: keep_ms from now at least.

        Durable as after `append`; a crash never leaves a comment without its claim. Safe to repeat. After an error some
        of the comments may be stored, each with its claim. Raises StoreUnavailable, and IdTaken as `append`: then no
        claim was made in this call.
        """
        ...


class Moderating(Protocol):
    """Changes what is there to see. All of it is durable when it returns, safe to repeat, and raises StoreUnavailable.

    An erased comment's text and author are overwritten. No append of it brings them back, whichever comes first,
    however long it waited (to be sent again, or in another node's spool), and nothing makes it visible again. Of the
    changes that hide and restore a comment, the one with the greatest id counts, in whichever order they come.
    """

    async def find(self, video_id: str, comment_id: int) -> Found | None:
        """None: there is no such comment, or an old release has erased it."""
        ...

    async def apply(self, changes: Sequence[Change]) -> None:
        """The comments' states first, then the changes as events of the log, then the notices. What is erased before
        it was stored stays away, too; a comment that isn't stored can't be hidden. Of `author_purged` only the event
        is written: see `begin_purge`. Of `restored` the data isn't: the comment's own row has it.

        Raises IdTaken if something else stands under a change's id."""
        ...

    async def erase(self, video_id: str, ids: Sequence[int]) -> None:
        """Overwrites these comments, as `apply` does for `erased`; without events and without notices."""
        ...

    async def begin_purge(self, purge: Purge) -> None:
        """From now on no comment of that author (in that video, or in all) up to that id is stored. Erases nothing
        that is stored already: `comments_of` finds it. `purges` has it until `end_purge`, a day at most.

        Kept for ever is a hash of the author's id; the id itself for a day at most.

        Guarantee. Who appends later than this returned is refused, for all comments that are `late_ms` old or older.
        For younger ones that is so in a process that has read all of `changes_since`, or called `purges`, since. On
        SQLite it is so for all. A write that was sent before, and becomes readable later (in Cassandra up to three
        hours, by a hint), stays until the next look of the purge (comment_service/moderate/purging.py); but in
        processes that call `purges` now and then no page shows it.
        """
        ...

    async def purges(self, now_ms: int) -> list[Purge]:
        """Those that have begun, not ended, and are less than a day old"""
        ...

    async def note_look(self, purge: Purge) -> None:
        """Its `looks` are how many there were now."""
        ...

    async def end_purge(self, purge: Purge) -> None:
        """No more looks. What still leads from the author's id to a video in which he has no comment is deleted."""
        ...

    def comments_of(
        self, author_id: str, video_id: str | None, from_id: int, up_to_id: int
    ) -> AsyncIterator[tuple[str, list[int]]]:
        """The author's stored comments between these ids, both included, as a video and some ids at a time. The caller
        may erase what it has got before it asks for more."""
        ...


class Notices(Protocol):
    """What any process has announced to those that keep copies. A read that begins after a notice was seen sees the
    change. Both go back an hour at most, cost reads of what they return, each bounded, and raise StoreUnavailable.

    since_ms, now_ms: by the announcing process's clock. A notice may be returned again.
    """

    def changes_since(self, since_ms: int, now_ms: int) -> AsyncIterator[list[Change]]:
        """What `apply` and `begin_purge` have changed in that time, without data, in pages of `change_notices_max` at
        most. The latter is an `author_purged`, perhaps of ALL_VIDEOS, with the purge's id."""
        ...

    async def late_since(self, since_ms: int, now_ms: int) -> list[Stretch]:
        """Where late comments lie that were appended in that time, `late_ms` or more after their ids were given; if
        there are too many, one stretch of everything. Comments that aren't late come before anybody takes a stretch of
        ids for closed."""
        ...


class VideoReader(Protocol):
    """Reads what is known of videos as things. Raises StoreUnavailable."""

    async def videos(self, video_ids: Sequence[str]) -> list[Video]:
        """Those of them that somebody has added, in any order; one query for many"""
        ...

    async def changed_videos(self, since_ms: int, now_ms: int) -> list[Video] | None:
        """The videos that any process has added or changed since then by its own clock, as they are now, perhaps
        others beside them, each perhaps several times. A read of what changed. None: too many, or too long ago.

        since_ms, now_ms: by the caller's clock.
        """
        ...


class NodeReader(Log, VideoReader, Protocol):
    """All that an RMS reads"""


class Videos(VideoReader, Protocol):
    """Videos as things: their titles, owners and times. Durable when it returns; raises StoreUnavailable."""

    async def add_video(self, video: Video) -> bool:
        """Adds and announces it. False, and nothing changes, if there is one with that id."""
        ...

    async def change_video(self, before: Video, after: Video) -> bool:
        """Sets what differs between the two, if the video is still as `before`, and announces it, also when they are
        the same: then it announces what another process may have stored and not announced. False: it was not, or the
        driver has repeated this call; nothing changed now. Id, owner and time of creation never change."""
        ...

    async def video(self, video_id: str) -> Video | None:
        """None: nobody has added it."""
        ...


class Nodes(Protocol):
    """Node numbers, of which each belongs to one process for a time. Raises StoreUnavailable."""

    async def claim_node(self, node: int, holder: str, words: str, now_ms: int, lease_ms: int) -> str | None:
        """None: the node number belongs to the holder for lease_ms from now, for the first time or again, or taken over
        from an earlier life of it (history/core/holder.py). Else the words of its other holder. Durable."""
        ...

    async def release_node(self, node: int, holder: str) -> None:
        """The number is free at once, if it was the holder's."""
        ...


class History(Store, Keys, Log, Moderating, Notices, Videos, Nodes, Protocol):
    """All that a store can do: what comment_service uses"""

    async def sweep(self, now_ms: int) -> int:
        """Deletes what has expired, unless the store does so by itself, and returns how many rows. Call it now and
        then; two processes may do so at once. Raises StoreUnavailable."""
        ...
