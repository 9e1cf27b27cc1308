"""Idempotency-Keys and node numbers in Cassandra.

Comments are claimed many at once, and without compare and set (LWT) as long as nobody else claims the same key. Each
claim is a row under its key; core/commit_adopt.py finds in two rounds of plain writes and reads whether there is only
one. Where there are several, an LWT decides between the values with which commit-adopt goes on. An LWT takes several
rounds between the replicas for each key; a plain write or read serves many keys in one request.

Who was alone in the first round appends its comment beside its second write: then two rounds are all. Its comment can
be read before it is known to be the one. It is the only such comment of its key (core/commit_adopt.py), so nobody ever
reads two, unless three requests with one key meet in three processes within these milliseconds and the LWT decides
against it. Then everybody who learns of that erases it before he returns, so it is gone before any author has an
answer; an erasure wins over the row, also if that comes later. docs/decisions/0302 has the proof.

Where a claim lies. Cassandra pays for each partition that a write touches: ten times as much as for a further row of a
partition. Yet a key must be found by itself, a day later, so its partition can depend on nothing but the key. A key
that says when it was made (core/keys.py) shares one with those of its video that were made in the same ten minutes. Any
other key has a partition of its own.

A node number is claimed seldom, and always by LWT.
"""

import asyncio
import struct
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from msgspec.structs import replace

from history.cassandra.batches import SerialisedBatch
from history.cassandra.tables import CassandraTables, ttl_s
from history.config import BUCKET_MS
from history.core.commit_adopt import Proposal, decide, perhaps_alone, was_alone
from history.core.holder import may_replace
from history.core.keys import name_of_key, time_of_key
from history.core.model import Comment
from history.store import Claim, Claimed, Outcome, StoreUnavailable

ROW = "key, comment_id, created_at_ms, digest"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where claims lie. A claim's place: the values of its partition's column, if that isn't its name, and its name"""

    propose: str
    mark: str
    proposals: str


# In `mark` all values once more, so that they expire together: a row with was_alone only would mislead the next one.
BY_KEY = Layout(
    f"INSERT INTO $keyspace.claims ({ROW}) VALUES (?, ?, ?, ?) USING TTL ?",  # noqa: S608
    f"INSERT INTO $keyspace.claims ({ROW}, was_alone) VALUES (?, ?, ?, ?, ?) USING TTL ?",  # noqa: S608
    f"SELECT {ROW}, was_alone FROM $keyspace.claims WHERE key IN ?",  # noqa: S608
)
BY_TIME = Layout(
    f"INSERT INTO $keyspace.timed_claims (stretch, {ROW}) VALUES (?, ?, ?, ?, ?) USING TTL ?",  # noqa: S608
    f"INSERT INTO $keyspace.timed_claims (stretch, {ROW}, was_alone) VALUES (?, ?, ?, ?, ?, ?) USING TTL ?",  # noqa: S608
    f"SELECT {ROW}, was_alone FROM $keyspace.timed_claims WHERE stretch IN ? AND key IN ?",  # noqa: S608
)
COUNTS = "SELECT COUNT(*), COUNT(was_alone) FROM $keyspace.timed_claims WHERE stretch = ? AND key IN ?"
"""Of neighbours: if there are as many rows as they are themselves, then nobody else claims any of their keys. One row
comes back, not one for each: reading those cost this process more than all else about a keyed comment."""

DECIDE = """
INSERT INTO $keyspace.idempotency_keys (author_id, video_id, key, comment_id, created_at_ms, digest)
VALUES (?, ?, ?, ?, ?, ?) IF NOT EXISTS USING TTL ?
"""
DECIDED = """
SELECT author_id, video_id, key, comment_id, created_at_ms, digest FROM $keyspace.idempotency_keys
WHERE author_id = ? AND video_id = ? AND key = ?
"""
TAKE_NODE = "INSERT INTO $keyspace.nodes (node, holder, words) VALUES (?, ?, ?) IF NOT EXISTS USING TTL ?"
KEEP_NODE = "UPDATE $keyspace.nodes USING TTL ? SET holder = ?, words = ? WHERE node = ? IF holder = ?"
RELEASE_NODE = "DELETE FROM $keyspace.nodes WHERE node = ? IF holder = ?"

CLAIMS_AT_ONCE = 32
"""In one request, if they lie in several partitions. Cassandra counts the bytes of such a batch, and warns at 5 KiB; a
claim has 100. It also logs now and then that there are more than 10 partitions in a batch
(`unlogged_batch_across_partitions_warn_threshold`): on purpose, for one request costs more than a row."""

NEIGHBOURS_AT_ONCE = 256
"""In one request, if they lie in one partition: 30 KB"""

NODE_TRIES = 3

TRUE, FALSE = b"\1", b"\0"

T = TypeVar("T")

_int = struct.Struct(">i").pack
_bigint = struct.Struct(">q").pack

Place = tuple[bytes, ...]


class _Row(NamedTuple):
    """A claim of a key, as everybody reads it"""

    proposal: Proposal
    created_at_ms: int
    digest: bytes


class CassandraClaims:
    """`history.store.Keys` and `Nodes`, and `append_claimed` of `history.store.Store`"""

    def __init__(
        self,
        tables: CassandraTables,
        append: Callable[[Sequence[Comment]], Awaitable[None]],
        withdraw: Callable[[str, Sequence[int], int], Awaitable[None]],
        lwt_ms: int,
    ) -> None:
        """append: the store's. withdraw: erases comments for which another one stands."""
        self._lwt_ms = lwt_ms
        self._tables = tables
        self._append = append
        self._withdraw = withdraw

    async def append_claimed(self, items: Sequence[Claimed], now_ms: int, keep_ms: int) -> Sequence[Outcome]:
        """keep_ms is a time to live, so now_ms isn't needed. A repeated claim renews it."""
        parts = list(_parts(items))
        firsts = await asyncio.gather(
            *(
                self._claim(layout, places, [items[index] for index in indexes], keep_ms)
                for layout, places, indexes in parts
            )
        )
        by_index = {
            index: first
            for (_, _, indexes), found in zip(parts, firsts, strict=True)
            for index, first in zip(indexes, found, strict=True)
        }
        return [by_index[index] for index in range(len(items))]

    async def claim_of(self, author_id: str, video_id: str, key: str) -> Claim | None:
        """Whoever was told that its claim holds either was alone in the first round, and has written so, or has asked
        the LWT, whose word is final."""
        layout, place = _place(author_id, video_id, key)
        for decided in await self._tables.run(DECIDED, author_id, video_id, key):
            return Claim(*decided)
        for row in (await self._read(layout, [place]))[place[-1]]:
            if row.proposal.was_alone:
                return Claim(author_id, video_id, key, row.proposal.value, row.created_at_ms, row.digest)
        return None

    async def claim_node(self, node: int, holder: str, words: str, now_ms: int, lease_ms: int) -> str | None:
        """The lease is a time to live, in whole seconds; now_ms isn't needed."""
        lease_s = ttl_s(lease_ms)
        for _ in range(NODE_TRIES):  # a row may expire between the two requests
            ((taken, *theirs),) = await self._tables.run(TAKE_NODE, node, holder, words, lease_s)
            if taken:
                return None
            _, their_holder, their_words = theirs
            if not may_replace(holder, their_holder):
                return str(their_words)
            ((kept, *_),) = await self._tables.run(KEEP_NODE, lease_s, holder, words, node, their_holder)
            if kept:
                return None
        raise StoreUnavailable(f"Cassandra: the claim of node {node} was not decided")

    async def release_node(self, node: int, holder: str) -> None:
        await self._tables.run(RELEASE_NODE, node, holder)

    async def _claim(
        self, layout: Layout, places: Sequence[Place], items: Sequence[Claimed], keep_ms: int
    ) -> list[Outcome]:
        ttl = _int(ttl_s(keep_ms))
        values = [(_bigint(each.comment_id), _bigint(each.created_at_ms), each.digest) for _, each in items]
        both = list(zip(places, values, strict=True))
        await self._write(layout.propose, [(*place, *value, ttl) for place, value in both])
        if may_be_counted(places) and await self._are_the_only_ones(places, marked=0):
            marks = [(*place, *value, TRUE, ttl) for place, value in both]
            await asyncio.gather(self._write(layout.mark, marks), self._append([comment for comment, _ in items]))
            if await self._are_the_only_ones(places, marked=len(places)):
                return [claim for _, claim in items]
        else:
            await self._write_second(layout, both, items, ttl)
        rows = await self._read(layout, places)
        return await self._decide(items, [rows[place[-1]] for place in places], keep_ms)

    async def _write_second(
        self, layout: Layout, both: Sequence[tuple[Place, Place]], items: Sequence[Claimed], ttl: bytes
    ) -> None:
        """The second round's write, after the first one's read"""
        rows = await self._read(layout, [place for place, _ in both])
        marks, alone = [], []
        for (place, value), (comment, _) in zip(both, items, strict=True):
            proposals = [row.proposal for row in rows[place[-1]]]
            was = _written(comment.id, proposals)
            if was is None:
                was = was_alone(comment.id, proposals)
                marks.append((*place, *value, TRUE if was else FALSE, ttl))
            if was:
                alone.append(comment)
        await asyncio.gather(self._write(layout.mark, marks), self._append(alone))

    async def _decide(self, items: Sequence[Claimed], rows: Sequence[Sequence[_Row]], keep_ms: int) -> list[Outcome]:
        """By LWT, where it isn't agreed. One that fails is only its own key's error."""
        firsts: list[Outcome] = [claim for _, claim in items]
        undecided = {}
        for index, ((comment, claim), found) in enumerate(zip(items, rows, strict=True)):
            comment_id, is_agreed = decide(comment.id, [row.proposal for row in found])
            if not is_agreed:
                undecided[index] = self._settle(comment, _with(claim, comment_id, found), found, keep_ms)
        for index, outcome in zip(undecided, await _outcomes(undecided.values()), strict=True):
            firsts[index] = outcome
        return firsts

    async def _settle(self, comment: Comment, wanted: Claim, rows: Sequence[_Row], keep_ms: int) -> Claim:
        """Takes no longer than an LWT may: one slow decision must not make the whole store count as slow."""
        try:
            async with asyncio.timeout(self._lwt_ms / 1000):
                return await self._settle_by_lwt(comment, wanted, rows, keep_ms)
        except TimeoutError:
            raise StoreUnavailable(f"Cassandra: a key was not decided within {self._lwt_ms} ms") from None

    async def _settle_by_lwt(self, comment: Comment, wanted: Claim, rows: Sequence[_Row], keep_ms: int) -> Claim:
        first = await self._decide_by_lwt(wanted, keep_ms)
        proposals = [row.proposal for row in rows]
        losers = [comment_id for comment_id in perhaps_alone(proposals) if comment_id != first.comment_id]
        if losers:
            await self._withdraw(comment.video_id, losers, first.comment_id)
        if first.comment_id == comment.id:
            await self._append([comment])
        return first

    async def _write(self, cql: str, rows: Sequence[tuple[bytes, ...]]) -> None:
        if not rows:
            return
        batch = SerialisedBatch(await self._tables.statement(cql), rows[0][0])
        for row in rows:
            batch.add_values(row)
        await self._tables.session.execute(batch)

    async def _read(self, layout: Layout, places: Sequence[Place]) -> dict[bytes, list[_Row]]:
        """By the keys' names"""
        columns = [list(dict.fromkeys(column)) for column in zip(*places, strict=True)]
        rows: dict[bytes, list[_Row]] = {place[-1]: [] for place in places}
        for name, comment_id, created_at_ms, digest, was_alone_ in await self._tables.run(layout.proposals, *columns):
            rows[name].append(_Row(Proposal(comment_id, was_alone_), created_at_ms, digest))
        return rows

    async def _are_the_only_ones(self, places: Sequence[Place], marked: int) -> bool:
        """marked: how many of them have written in the second round"""
        ((rows, marks),) = await self._tables.run(COUNTS, places[0][0], [name for _, name in places])
        return (rows, marks) == (len(places), marked)

    async def _decide_by_lwt(self, claim: Claim, keep_ms: int) -> Claim:
        ((applied, *theirs),) = await self._tables.run(
            DECIDE,
            *(claim.author_id, claim.video_id, claim.key),
            *(claim.comment_id, claim.created_at_ms, claim.digest, ttl_s(keep_ms)),
        )
        return claim if applied else Claim(*theirs)


def _place(author_id: str, video_id: str, key: str) -> tuple[Layout, Place]:
    name, made_ms = name_of_key(author_id, video_id, key), time_of_key(key)
    if made_ms is None:
        return BY_KEY, (name,)
    return BY_TIME, (f"{video_id}/{made_ms // BUCKET_MS}".encode(), name)


def _parts(items: Sequence[Claimed]) -> Iterator[tuple[Layout, list[Place], list[int]]]:
    """What goes in one request: a layout, and places in it with the indexes of their items"""
    by_key: list[tuple[Place, int]] = []
    by_time: defaultdict[bytes, list[tuple[Place, int]]] = defaultdict(list)
    for index, (_, claim) in enumerate(items):
        layout, place = _place(claim.author_id, claim.video_id, claim.key)
        if layout is BY_KEY:
            by_key.append((place, index))
        else:
            by_time[place[0]].append((place, index))
    yield from _pieces(BY_KEY, by_key, CLAIMS_AT_ONCE)
    few = []
    for neighbours in by_time.values():
        if len(neighbours) < CLAIMS_AT_ONCE:
            few += neighbours
        else:
            yield from _pieces(BY_TIME, neighbours, NEIGHBOURS_AT_ONCE)
    yield from _pieces(BY_TIME, few, CLAIMS_AT_ONCE)


def _pieces(
    layout: Layout, placed: Sequence[tuple[Place, int]], size: int
) -> Iterator[tuple[Layout, list[Place], list[int]]]:
    for begin in range(0, len(placed), size):
        places, indexes = zip(*placed[begin : begin + size], strict=True)
        yield layout, list(places), list(indexes)


def may_be_counted(places: Sequence[Place]) -> bool:
    """They are neighbours, and no key is there twice: then their own rows are as many as they are."""
    return len(places[0]) > 1 and len({place[0] for place in places}) == 1 and len(set(places)) == len(places)


def _with(claim: Claim, comment_id: int, rows: Sequence[_Row]) -> Claim:
    """The claim of the same key for that comment"""
    for row in rows:
        if row.proposal.value == comment_id:
            return replace(claim, comment_id=comment_id, created_at_ms=row.created_at_ms, digest=row.digest)
    return claim


def _written(comment_id: int, proposals: Sequence[Proposal]) -> bool | None:
    """The same claim comes again: what it wrote in the second round the first time stays."""
    return next((each.was_alone for each in proposals if each.value == comment_id), None)


async def _outcomes(calls: Iterable[Awaitable[T]]) -> list[T | StoreUnavailable]:
    """Of all calls, in their order, each one's StoreUnavailable in its own place. Raises any other error."""
    outcomes: list[T | StoreUnavailable] = []
    for outcome in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(outcome, BaseException) and not isinstance(outcome, StoreUnavailable):
            raise outcome
        outcomes.append(outcome)
    return outcomes
