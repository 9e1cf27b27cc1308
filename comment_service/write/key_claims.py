"""Idempotency-Keys that survive a restart and hold between processes.

Which comment a key stands for is decided in the store before that comment is written: one claim of the key stands. In
SQLite it is the first one, by the write lock; in Cassandra one of those that came at the same time, by commit-adopt and
an LWT. A claim names the id that the comment will have. So at most one comment is ever made: a later request writes the
comment *with the standing claim's id*, if it isn't stored yet, and appending an id twice is appending it once.

    the process dies                         the retry, anywhere, within the day
    before its claim stands                  is the first
    between claim and comment                finds the claim, and writes the comment with the claimed id
    after the comment                        finds the claim and the comment, and gets the first comment again

Why a claim of its own, and not a row beside the comment. Two processes that write a row each and read afterwards can't
agree who was first: one may have responded before the other one's row came. So a claim takes some round trips before
the comment's own. Claims that arrive during one round go with the next, as comments do; requests without a key don't
wait for any of this.

While the store is away no key can be claimed, and comments are still accepted: the key then holds in this process's
memory only (idempotency.py). A retry that reaches another process, or comes after a restart, makes a second comment.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from comment_service.clocks import monotonic_ms, wall_ms
from comment_service.core.errors import IdempotencyKeyReused
from comment_service.write.idempotency import Key
from history.core.model import Comment, State
from history.group_commit import GroupCommit, GroupCommitStatistics
from history.store import Claim, History, StoreOverloaded, StoreUnavailable


@dataclass(slots=True)
class Claiming:
    """A claim, and once it was decided the one that stands for its key, or why that can't be decided"""

    claim: Claim
    first: Claim | StoreUnavailable | None = None


@dataclass(frozen=True, slots=True)
class ClaimSettings:
    """What config.py says; its descriptions give the reasons."""

    keep_ms: int
    timeout_ms: int
    rest_ms: int


class Availability(Protocol):
    """Whether the store is away, for the whole process: whoever notices it first spares the others the wait."""

    @property
    def is_away(self) -> bool: ...

    def gone(self, error: StoreUnavailable) -> None: ...


Grouping = Callable[[Callable[[Sequence[Claiming]], Awaitable[None]]], GroupCommit[Claiming]]


class KeyClaims:
    """Belongs to one event loop."""

    def __init__(
        self, history: Callable[[], History], store: Availability, settings: ClaimSettings, group: Grouping
    ) -> None:
        """history: the open store; raises StoreUnavailable until there is one. group: makes the GroupCommit."""
        self._history = history
        self._store = store
        self._settings = settings
        self._group = group(self._claim)
        self._rests_until_ms: int | None = None

    async def first(self, key: Key, comment: Comment) -> Comment:
        """The comment that the key stands for: this one, or an earlier one with the same text and name.

        Also this one when the store doesn't respond in time. Raises IdempotencyKeyReused, StoreOverloaded, and
        StoreUnavailable if the store responds but can't decide about this key.
        """
        if self._is_away():
            return comment
        claiming = Claiming(Claim(*key, comment.id, comment.created_at_ms, _digest(comment)))
        try:
            await self._group.append(claiming)
        except StoreOverloaded:
            raise
        except StoreUnavailable:
            return comment
        first = claiming.first
        if isinstance(first, StoreUnavailable):
            raise first
        assert first is not None
        if first.digest != claiming.claim.digest:
            raise IdempotencyKeyReused
        return msgspec.structs.replace(comment, id=first.comment_id, created_at_ms=first.created_at_ms)

    def statistics(self) -> GroupCommitStatistics:
        return self._group.statistics()

    async def close(self) -> None:
        """Returns when nothing is being claimed any more."""
        await self._group.close()

    async def _claim(self, claiming: Sequence[Claiming]) -> None:
        if self._is_away():  # since these began to wait
            raise StoreUnavailable("the store is away")
        claims = [each.claim for each in claiming]
        now_ms = wall_ms()
        try:
            async with asyncio.timeout(self._settings.timeout_ms / 1000):
                firsts = await self._history().claim_keys(claims, now_ms, self._settings.keep_ms)
        except (StoreUnavailable, TimeoutError) as error:
            # The next authors needn't wait for the store as well, and these needn't wait again for their write.
            self._rests_until_ms = monotonic_ms() + self._settings.rest_ms
            away = StoreUnavailable(str(error) or f"no claim within {self._settings.timeout_ms} ms")
            self._store.gone(away)
            raise away from error
        for each, first in zip(claiming, firsts, strict=True):
            each.first = first

    def _is_away(self) -> bool:
        resting = self._rests_until_ms is not None and monotonic_ms() < self._rests_until_ms
        return resting or self._store.is_away

    async def is_stored(self, comment: Comment) -> bool:
        """Raises StoreUnavailable."""
        found = await self._history().find(comment.video_id, comment.id)
        return found is not None and found.state is State.VISIBLE


def _digest(comment: Comment) -> bytes:
    """Of everything that the author wrote. The name can't contain the separator."""
    return hashlib.blake2b(f"{comment.author.name}\n{comment.message}".encode(), digest_size=16).digest()
