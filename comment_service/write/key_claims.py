"""Idempotency-Keys that survive a restart and hold between processes.

Which comment a key stands for is decided in the store, before that comment is written: one claim of the key stands,
in SQLite the first one, by the write lock; in Cassandra one of those that met, by commit-adopt and an LWT. A claim
names the id that the comment will have. So at most one comment is ever made: whoever comes later writes the comment
*with the standing claim's id*, if it isn't there yet, and appending an id twice is appending it once.

    the process dies                         the retry, anywhere, within the day
    before its claim stands                  is the first
    between claim and comment                finds the claim, and writes the comment with the claimed id
    after the comment                        finds the claim and the comment, and gets the first answer

Why a claim of its own, and not a row beside the comment. Two processes that write a row each and read afterwards can't
agree who was first: one may have answered before the other one's row came. So it takes some round trips before the
comment's own. Claims that come during one go with the next, as comments do; requests without a key don't pay.

While the store is away nobody can be asked, and people go on talking: the key then holds in this process's memory only
(idempotency.py). A retry that reaches another process, or comes after a restart, makes a second comment.
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
from history.core.model import Comment
from history.group_commit import GroupCommit, GroupCommitStatistics
from history.store import Claim, History, StoreOverloaded, StoreUnavailable


@dataclass(slots=True)
class Claiming:
    """A claim, and in the end the one that stands for its key, or why that isn't known"""

    claim: Claim
    first: Claim | StoreUnavailable | None = None


@dataclass(frozen=True, slots=True)
class ClaimSettings:
    """What config.py says; its descriptions give the reasons."""

    keep_ms: int
    timeout_ms: int
    rest_ms: int


class Availability(Protocol):
    """Whether the store answers, for the whole process: whoever finds out first spares the others the wait."""

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
        self._rests_until_ms = 0

    async def first(self, key: Key, comment: Comment) -> Comment:
        """The comment that the key stands for: this one, or an earlier one that says the same.

        This one, too, when the store doesn't answer in time. Raises IdempotencyKeyReused, StoreOverloaded, and
        StoreUnavailable if it answers, but can't say it of this key.
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
            # The next authors need not wait for it as well; nor need these, when their comments are written.
            self._rests_until_ms = monotonic_ms() + self._settings.rest_ms
            away = StoreUnavailable(str(error) or f"no claim within {self._settings.timeout_ms} ms")
            self._store.gone(away)
            raise away from error
        for each, first in zip(claiming, firsts, strict=True):
            each.first = first

    def _is_away(self) -> bool:
        return self._store.is_away or monotonic_ms() < self._rests_until_ms

    async def is_stored(self, comment: Comment) -> bool:
        """Raises StoreUnavailable."""
        found = await self._history().newer(comment.video_id, comment.id - 1, 1)
        return bool(found) and found[0].id == comment.id


def _digest(comment: Comment) -> bytes:
    """Of all that the author chose. The name can't contain the separator."""
    return hashlib.blake2b(f"{comment.author.name}\n{comment.message}".encode(), digest_size=16).digest()
