"""Idempotency-Keys and node numbers in Cassandra.

Keys are claimed many at once, and without compare and set (LWT) as long as nobody else claims the same key. Each claim
is a row of its key's partition; core/commit_adopt.py finds in two rounds of plain writes and reads whether there is
only one. Where there are several, an LWT decides between the values with which commit-adopt goes on. An LWT takes
several rounds between the replicas for each key; a plain write or read serves many keys in one request.

A node number is claimed seldom, and always by LWT.
"""

import asyncio
import hashlib
import struct
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

from history.cassandra.batches import SerialisedBatch
from history.cassandra.tables import CassandraTables, ttl_s
from history.core.commit_adopt import Proposal, decide, was_alone
from history.store import Claim, StoreUnavailable

PROPOSE = "INSERT INTO $keyspace.claims (key, comment_id, created_at_ms, digest) VALUES (?, ?, ?, ?) USING TTL ?"
# All values once more, so that they expire together: a row with was_alone only would mislead the next one.
WRITE_ALONE = """
UPDATE $keyspace.claims USING TTL ? SET created_at_ms = ?, digest = ?, was_alone = ? WHERE key = ? AND comment_id = ?
"""
PROPOSALS = "SELECT key, comment_id, created_at_ms, digest, was_alone FROM $keyspace.claims WHERE key IN ?"
DECIDE = """
INSERT INTO $keyspace.idempotency_keys (author_id, video_id, key, comment_id, created_at_ms, digest)
VALUES (?, ?, ?, ?, ?, ?) IF NOT EXISTS USING TTL ?
"""
TAKE_NODE = "INSERT INTO $keyspace.nodes (node, holder, words) VALUES (?, ?, ?) IF NOT EXISTS USING TTL ?"
KEEP_NODE = "UPDATE $keyspace.nodes USING TTL ? SET holder = ?, words = ? WHERE node = ? IF holder = ?"
RELEASE_NODE = "DELETE FROM $keyspace.nodes WHERE node = ? IF holder = ?"

CLAIMS_AT_ONCE = 32
"""In one request. Cassandra counts the bytes of a batch over several partitions, and warns at 5 KiB; a claim has 100.
It also logs now and then that there are more than 10 partitions in a batch
(`unlogged_batch_across_partitions_warn_threshold`): on purpose, for one request costs more than a row."""

NODE_TRIES = 3

TRUE, FALSE = b"\1", b"\0"

T = TypeVar("T")

_int = struct.Struct(">i").pack
_bigint = struct.Struct(">q").pack


class _Row(NamedTuple):
    """A claim of a key, as everybody reads it"""

    proposal: Proposal
    created_at_ms: int
    digest: bytes


class CassandraClaims:
    """`history.store.Claims`"""

    def __init__(self, tables: CassandraTables) -> None:
        self._tables = tables

    async def claim_keys(
        self, claims: Sequence[Claim], now_ms: int, keep_ms: int
    ) -> Sequence[Claim | StoreUnavailable]:
        """keep_ms is a time to live, so now_ms isn't needed. A repeated claim renews it."""
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

    async def claim_node(self, node: int, holder: str, words: str, now_ms: int, lease_ms: int) -> str | None:
        """The lease is a time to live, in whole seconds; now_ms isn't needed."""
        lease_s = ttl_s(lease_ms)
        for _ in range(NODE_TRIES):  # a row may expire between the two requests
            ((taken, *theirs),) = await self._tables.run(TAKE_NODE, node, holder, words, lease_s)
            if taken:
                return None
            _, their_holder, their_words = theirs
            if their_holder != holder:
                return str(their_words)
            ((kept, *_),) = await self._tables.run(KEEP_NODE, lease_s, holder, words, node, holder)
            if kept:
                return None
        raise StoreUnavailable(f"Cassandra: the claim of node {node} was not decided")

    async def release_node(self, node: int, holder: str) -> None:
        await self._tables.run(RELEASE_NODE, node, holder)

    async def _claim(self, claims: Sequence[Claim], keep_ms: int) -> list[Claim | StoreUnavailable]:
        names, ttl = [_name(claim) for claim in claims], _int(ttl_s(keep_ms))
        values = [(_bigint(each.comment_id), _bigint(each.created_at_ms), each.digest) for each in claims]
        await self._write(PROPOSE, [(name, *value, ttl) for name, value in zip(names, values, strict=True)])
        rows = await self._read(names)
        second = []
        for name, claim, (comment_id, *rest) in zip(names, claims, values, strict=True):
            proposals = [row.proposal for row in rows[name]]
            if not _has_written(claim.comment_id, proposals):
                alone = TRUE if was_alone(claim.comment_id, proposals) else FALSE
                second.append((ttl, *rest, alone, name, comment_id))
        await self._write(WRITE_ALONE, second)
        rows = await self._read(names)
        return await self._decide(claims, [rows[name] for name in names], keep_ms)

    async def _decide(
        self, claims: Sequence[Claim], rows: Sequence[Sequence[_Row]], keep_ms: int
    ) -> list[Claim | StoreUnavailable]:
        """By LWT, where it isn't agreed. One that fails is only its own key's error."""
        firsts: list[Claim | StoreUnavailable] = list(claims)
        undecided = {}
        for index, (claim, found) in enumerate(zip(claims, rows, strict=True)):
            comment_id, is_agreed = decide(claim.comment_id, [row.proposal for row in found])
            if not is_agreed:
                undecided[index] = self._decide_by_lwt(_with(claim, comment_id, found), keep_ms)
        for index, outcome in zip(undecided, await _outcomes(undecided.values()), strict=True):
            firsts[index] = outcome
        return firsts

    async def _write(self, cql: str, rows: Sequence[tuple[bytes, ...]]) -> None:
        if not rows:
            return
        statement = await self._tables.statement(cql)
        (key_index,) = statement.routing_key_indexes
        batch = SerialisedBatch(statement, rows[0][key_index])
        for row in rows:
            batch.add_values(row)
        await self._tables.session.execute(batch)

    async def _read(self, names: Sequence[bytes]) -> dict[bytes, list[_Row]]:
        rows: dict[bytes, list[_Row]] = {name: [] for name in names}
        for name, comment_id, created_at_ms, digest, was_alone_ in await self._tables.run(PROPOSALS, list(names)):
            rows[name].append(_Row(Proposal(comment_id, was_alone_), created_at_ms, digest))
        return rows

    async def _decide_by_lwt(self, claim: Claim, keep_ms: int) -> Claim:
        ((applied, *theirs),) = await self._tables.run(
            DECIDE,
            *(claim.author_id, claim.video_id, claim.key),
            *(claim.comment_id, claim.created_at_ms, claim.digest, ttl_s(keep_ms)),
        )
        return claim if applied else Claim(*theirs)


def _with(claim: Claim, comment_id: int, rows: Sequence[_Row]) -> Claim:
    """The claim of the same key for that comment"""
    for row in rows:
        if row.proposal.value == comment_id:
            return replace(claim, comment_id=comment_id, created_at_ms=row.created_at_ms, digest=row.digest)
    return claim


def _name(claim: Claim) -> bytes:
    """Of the key's partition. None of the parts can hold the separator."""
    return hashlib.blake2b(f"{claim.author_id}\n{claim.video_id}\n{claim.key}".encode(), digest_size=16).digest()


def _has_written(comment_id: int, proposals: Sequence[Proposal]) -> bool:
    """The same claim comes again: what it wrote in the second round the first time stays."""
    return any(each.value == comment_id and each.was_alone is not None for each in proposals)


async def _outcomes(calls: Iterable[Awaitable[T]]) -> list[T | StoreUnavailable]:
    """Of all calls, in their order, each one's StoreUnavailable in its own place. Raises any other error."""
    outcomes: list[T | StoreUnavailable] = []
    for outcome in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(outcome, BaseException) and not isinstance(outcome, StoreUnavailable):
            raise outcome
        outcomes.append(outcome)
    return outcomes
