"""Idempotency-Keys that survive a restart and hold between processes.

Which comment a key stands for is decided in the store together with the append of that comment: one claim of the key
stands. In SQLite it is the first one, by the write lock; in Cassandra one of those that came at the same time, by
commit-adopt and an LWT. A claim names the id that the comment has. So at most one comment is ever made: a later request
writes the comment *with the standing claim's id*, if it isn't stored yet, and appending an id twice is appending it
once.

    the process dies                         the retry, anywhere, within the day
    before its claim stands                  is the first
    between claim and comment                finds the claim, and writes the comment with the claimed id
    after the comment                        finds the claim and the comment, and gets the first comment again

(In SQLite nothing is between claim and comment: they are one transaction.)

Why a claim of its own, and not a row beside the comment. Two processes that write a row each and read afterwards can't
agree who was first: one may have responded before the other one's row came. Keyed comments that arrive during one write
go with the next, as others do; requests without a key don't wait for any of this.

While the store is away no key can be claimed, and comments are still accepted (history/spool/store.py), with their
keys. Until the spool is drained the key holds in this process's memory only (idempotency.py): a retry that reaches
another process, or comes after a restart, makes a second comment. The drain claims the key, and then exactly one of the
two stands; the other one is withdrawn (withdrawing.py).
"""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec

from comment_service.clocks import monotonic_s, wall_ms
from comment_service.core.admission import Draft
from comment_service.core.errors import IdempotencyKeyReused
from comment_service.write.idempotency import Done, Key
from history.core.model import Comment
from history.group_commit import GroupCommit, GroupCommitStatistics
from history.store import Claim, Keys, Outcome, Store, own_comments


@dataclass(slots=True)
class Claiming:
    """A comment and its claim, and once it was decided the claim that holds, or why that isn't known"""

    comment: Comment
    claim: Claim
    first: Outcome | None = None


Grouping = Callable[[Callable[[Sequence[Claiming]], Awaitable[None]]], GroupCommit[Claiming]]


class KeyClaims:
    """Belongs to one event loop."""

    def __init__(
        self,
        store: Store,
        history: Callable[[], Keys],
        keep_ms: int,
        group: Grouping,
        durable: Callable[[int, float], None],
    ) -> None:
        """history: the open store; raises StoreUnavailable until there is one. group: makes the GroupCommit. durable:
        hears how many comments became durable, and within how many ms."""
        self._store = store
        self._history = history
        self._keep_ms = keep_ms
        self._group = group(self._append)
        self._durable = durable

    def submit(self, key: Key, comment: Comment, done: Done) -> None:
        """Appends the comment if it is the one that the key stands for, and calls `done` with that: with this one, once
        it is durable, or with an earlier one with the same text and name, which may not be stored yet.

        Gives `done` the error if the comment couldn't be appended, the store can't decide about this key, or the key
        stands for a comment that says something else (IdempotencyKeyReused). Raises, and never calls `done`,
        StoreUnavailable and StoreOverloaded.
        """
        claiming = Claiming(comment, Claim(*key, comment.id, comment.created_at_ms, _digest(comment)))
        self._group.submit(claiming, partial(_report, claiming, done))

    async def find(self, key: Key, draft: Draft) -> Comment | None:
        """The comment that the key stands for, which may not be stored yet; claims nothing. None: it stands for none.
        Raises StoreUnavailable, and IdempotencyKeyReused if the comment says something else."""
        claim = await self._history().claim_of(*key)
        if claim is None:
            return None
        comment = Comment(claim.comment_id, draft.video_id, draft.author, draft.message, claim.created_at_ms)
        if claim.digest != _digest(comment):
            raise IdempotencyKeyReused
        return comment

    async def is_stored(self, comment: Comment) -> bool:
        """Raises StoreUnavailable."""
        found, _ = await self._store.newer(comment.video_id, comment.id - 1, 1)
        return bool(found) and found[0].id == comment.id

    def statistics(self) -> GroupCommitStatistics:
        return self._group.statistics()

    async def close(self) -> None:
        """Accepts nothing more, and returns when everything accepted is written or has failed."""
        await self._group.close()

    async def _append(self, claiming: Sequence[Claiming]) -> None:
        items = [(each.comment, each.claim) for each in claiming]
        begin_s = monotonic_s()
        outcomes = await self._store.append_claimed(items, wall_ms(), self._keep_ms)
        self._durable(len(own_comments(items, outcomes)), (monotonic_s() - begin_s) * 1000)
        for each, first in zip(claiming, outcomes, strict=True):
            each.first = first


def _report(claiming: Claiming, done: Done, error: Exception | None) -> None:
    first, comment = error or claiming.first, claiming.comment
    if isinstance(first, Exception):
        done(first)
        return
    assert first is not None
    if first.comment_id == comment.id:
        done(comment)
    elif first.digest != claiming.claim.digest:
        done(IdempotencyKeyReused())
    else:
        done(msgspec.structs.replace(comment, id=first.comment_id, created_at_ms=first.created_at_ms, after_id=0))


def _digest(comment: Comment) -> bytes:
    """Of everything that the author wrote. The name can't contain the separator."""
    return hashlib.blake2b(f"{comment.author.name}\n{comment.message}".encode(), digest_size=16).digest()
