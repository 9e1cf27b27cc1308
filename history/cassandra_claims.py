"""Idempotency-Keys in Cassandra, many at once, and without compare and set as long as nobody else claims the same key.

Each claim of a key is a row of the key's partition; commit_adopt.py finds in two rounds of plain writes and reads
whether there is only one. Only where there are several does an LWT decide, between the values with which commit-adopt
goes on. An LWT is several rounds between the replicas, for each key its own; plain writes and reads go for many keys in
one request.
"""

import asyncio
import hashlib
import struct
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import NamedTuple

from history.cassandra_batches import SerialisedBatch
from history.cassandra_tables import CassandraTables
from history.commit_adopt import Wish, decide, was_alone
from history.store import Claim

WISH = "INSERT INTO $keyspace.claims (key, comment_id, created_at_ms, digest) VALUES (?, ?, ?, ?) USING TTL ?"
WAS_ALONE = "UPDATE $keyspace.claims USING TTL ? SET was_alone = ? WHERE key = ? AND comment_id = ?"
WISHES = "SELECT key, comment_id, created_at_ms, digest, was_alone FROM $keyspace.claims WHERE key IN ?"
DECIDE = """
INSERT INTO $keyspace.idempotency_keys (author_id, video_id, key, comment_id, created_at_ms, digest)
VALUES (?, ?, ?, ?, ?, ?) IF NOT EXISTS USING TTL ?
"""

CLAIMS_AT_ONCE = 32
"""In one request. A batch over so many partitions has its bytes counted by Cassandra, which warns at 5 KiB; a claim has
100."""

TRUE, FALSE = b"\1", b"\0"

_int = struct.Struct(">i").pack
_bigint = struct.Struct(">q").pack


class _Row(NamedTuple):
    """A claim of a key, as everybody reads it"""

    wish: Wish
    created_at_ms: int
    digest: bytes


class CassandraClaims(CassandraTables):
    async def claim_keys(self, claims: Sequence[Claim], now_ms: int, keep_ms: int) -> list[Claim]:
        """What is kept is a time to live, so now_ms isn't needed. A key that is tried again is kept on."""
        parts = [claims[begin : begin + CLAIMS_AT_ONCE] for begin in range(0, len(claims), CLAIMS_AT_ONCE)]
        return list(chain.from_iterable(await asyncio.gather(*(self._claim(part, keep_ms) for part in parts))))

    async def _claim(self, claims: Sequence[Claim], keep_ms: int) -> list[Claim]:
        names, ttl = [_name(claim) for claim in claims], _int(_seconds(keep_ms))
        await self._say(
            WISH,
            [
                (name, _bigint(claim.comment_id), _bigint(claim.created_at_ms), claim.digest, ttl)
                for name, claim in zip(names, claims, strict=True)
            ],
        )
        rows = await self._read(names)
        await self._say(
            WAS_ALONE,
            [
                (ttl, TRUE if was_alone(claim.comment_id, wishes) else FALSE, name, _bigint(claim.comment_id))
                for name, claim in zip(names, claims, strict=True)
                if not _has_spoken(claim.comment_id, wishes := [row.wish for row in rows[name]])
            ],
        )
        rows = await self._read(names)
        firsts = list(claims)
        undecided = {}
        for index, (name, claim) in enumerate(zip(names, claims, strict=True)):
            value, is_agreed = decide(claim.comment_id, [row.wish for row in rows[name]])
            if not is_agreed:
                undecided[index] = self._decide(_with(claim, value, rows[name]), keep_ms)
        for index, first in zip(undecided, await asyncio.gather(*undecided.values()), strict=True):
            firsts[index] = first
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

    async def _decide(self, claim: Claim, keep_ms: int) -> Claim:
        ((applied, *theirs),) = await self._run(
            DECIDE,
            *(claim.author_id, claim.video_id, claim.key),
            *(claim.comment_id, claim.created_at_ms, claim.digest, _seconds(keep_ms)),
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


def _seconds(ms: int) -> int:
    return max(1, ms // 1000)
