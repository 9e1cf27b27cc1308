"""Idempotency-Keys in Cassandra, many at once, and without compare and set as long as nobody else claims the same key.

Each claim of a key is a row of the key's partition; commit_adopt.py finds in two rounds of plain writes and reads
whether there is only one. Only where there are several does an LWT decide, between the values with which commit-adopt
goes on. An LWT is several rounds between the replicas, for each key its own; plain writes and reads go for many keys in
one request.
"""

import asyncio
import hashlib
import struct
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

from history.cassandra.batches import SerialisedBatch
from history.cassandra.tables import CassandraTables, ttl_s
from history.core.commit_adopt import Wish, decide, was_alone
from history.store import Claim, StoreUnavailable

WISH = "INSERT INTO $keyspace.claims (key, comment_id, created_at_ms, digest) VALUES (?, ?, ?, ?) USING TTL ?"
# All values once more, so that they end together: a row of which only the word were left would mislead the next one.
WAS_ALONE = """
UPDATE $keyspace.claims USING TTL ? SET created_at_ms = ?, digest = ?, was_alone = ? WHERE key = ? AND comment_id = ?
"""
WISHES = "SELECT key, comment_id, created_at_ms, digest, was_alone FROM $keyspace.claims WHERE key IN ?"
DECIDE = """
INSERT INTO $keyspace.idempotency_keys (author_id, video_id, key, comment_id, created_at_ms, digest)
VALUES (?, ?, ?, ?, ?, ?) IF NOT EXISTS USING TTL ?
"""

CLAIMS_AT_ONCE = 32
"""In one request. A batch over several partitions has its bytes counted by Cassandra, which warns at 5 KiB; a claim has
100. It also says in its log, now and then, that there are more than 10 partitions in a batch
(`unlogged_batch_across_partitions_warn_threshold`): on purpose, for one request is dearer than a row."""

TRUE, FALSE = b"\1", b"\0"

T = TypeVar("T")

_int = struct.Struct(">i").pack
_bigint = struct.Struct(">q").pack


class _Row(NamedTuple):
    """A claim of a key, as everybody reads it"""

    wish: Wish
    created_at_ms: int
    digest: bytes


class CassandraClaims(CassandraTables):
    async def claim_keys(
        self, claims: Sequence[Claim], now_ms: int, keep_ms: int
    ) -> Sequence[Claim | StoreUnavailable]:
        """What is kept is a time to live, so now_ms isn't needed. A key that is tried again is kept on."""
        parts = [claims[begin : begin + CLAIMS_AT_ONCE] for begin in range(0, len(claims), CLAIMS_AT_ONCE)]
        claimed = await _outcomes(self._claim(part, keep_ms) for part in parts)
        firsts: list[Claim | StoreUnavailable] = []
        for part, found in zip(parts, claimed, strict=True):
            if isinstance(found, StoreUnavailable):
                firsts += [found] * len(part)
            else:
                firsts += found
        if all(isinstance(found, StoreUnavailable) for found in claimed):
            raise StoreUnavailable(str(claimed[0]))
        return firsts

    async def _claim(self, claims: Sequence[Claim], keep_ms: int) -> list[Claim | StoreUnavailable]:
        names, ttl = [_name(claim) for claim in claims], _int(ttl_s(keep_ms))
        values = [(_bigint(each.comment_id), _bigint(each.created_at_ms), each.digest) for each in claims]
        await self._say(WISH, [(name, *value, ttl) for name, value in zip(names, values, strict=True)])
        rows = await self._read(names)
        words = []
        for name, claim, (comment_id, *rest) in zip(names, claims, values, strict=True):
            wishes = [row.wish for row in rows[name]]
            if not _has_spoken(claim.comment_id, wishes):
                words.append((ttl, *rest, TRUE if was_alone(claim.comment_id, wishes) else FALSE, name, comment_id))
        await self._say(WAS_ALONE, words)
        rows = await self._read(names)
        return await self._decide(claims, [rows[name] for name in names], keep_ms)

    async def _decide(
        self, claims: Sequence[Claim], rows: Sequence[Sequence[_Row]], keep_ms: int
    ) -> list[Claim | StoreUnavailable]:
        """By LWT, where it isn't agreed. One that fails is only its own key's error."""
        firsts: list[Claim | StoreUnavailable] = list(claims)
        asked = {}
        for index, (claim, found) in enumerate(zip(claims, rows, strict=True)):
            comment_id, is_agreed = decide(claim.comment_id, [row.wish for row in found])
            if not is_agreed:
                asked[index] = self._ask(_with(claim, comment_id, found), keep_ms)
        for index, answer in zip(asked, await _outcomes(asked.values()), strict=True):
            firsts[index] = answer
        return firsts

    async def _say(self, cql: str, rows: Sequence[tuple[bytes, ...]]) -> None:
        if not rows:
            return
        statement = await self._statement(cql)
        (key_index,) = statement.routing_key_indexes
        batch = SerialisedBatch(statement, rows[0][key_index])
        for row in rows:
            batch.add_values(row)
        await self._session.execute(batch)

    async def _read(self, names: Sequence[bytes]) -> dict[bytes, list[_Row]]:
        rows: dict[bytes, list[_Row]] = {name: [] for name in names}
        for name, comment_id, created_at_ms, digest, was_alone_ in await self._run(WISHES, list(names)):
            rows[name].append(_Row(Wish(comment_id, was_alone_), created_at_ms, digest))
        return rows

    async def _ask(self, claim: Claim, keep_ms: int) -> Claim:
        ((applied, *theirs),) = await self._run(
            DECIDE,
            *(claim.author_id, claim.video_id, claim.key),
            *(claim.comment_id, claim.created_at_ms, claim.digest, ttl_s(keep_ms)),
        )
        return claim if applied else Claim(*theirs)


def _with(claim: Claim, comment_id: int, rows: Sequence[_Row]) -> Claim:
    """The claim of the same key for that comment"""
    for row in rows:
        if row.wish.value == comment_id:
            return replace(claim, comment_id=comment_id, created_at_ms=row.created_at_ms, digest=row.digest)
    return claim


def _name(claim: Claim) -> bytes:
    """Of the key's partition. None of the parts can hold the separator."""
    return hashlib.blake2b(f"{claim.author_id}\n{claim.video_id}\n{claim.key}".encode(), digest_size=16).digest()


def _has_spoken(comment_id: int, wishes: Sequence[Wish]) -> bool:
    """The same claim comes a second time: what it said the first time stands."""
    return any(wish.value == comment_id and wish.was_alone is not None for wish in wishes)


async def _outcomes(calls: Iterable[Awaitable[T]]) -> list[T | StoreUnavailable]:
    """Of all of them, so that one's error is only its own. Raises what is no StoreUnavailable."""
    outcomes: list[T | StoreUnavailable] = []
    for outcome in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(outcome, BaseException) and not isinstance(outcome, StoreUnavailable):
            raise outcome
        outcomes.append(outcome)
    return outcomes
