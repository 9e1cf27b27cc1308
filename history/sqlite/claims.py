"""Idempotency-Keys and node numbers in SQLite. The write lock decides who was first, also among processes.

A claim and its comment are written in one transaction, many at once: a keyed comment is fsynced once, as any other. The
claims of keys that say when they were made (core/keys.py) have a table in the order of that time. The other one is
ordered by author and video: there each claim of a transaction lies on a page of its own, which is written as a whole.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from history.clocks import wall_ms
from history.core.holder import may_replace
from history.core.keys import name_of_key, time_of_key
from history.core.model import Comment
from history.sqlite.file import WriteFile
from history.sqlite.pieces import pieces, statements
from history.store import Claim, Claimed, own_comments


@dataclass(frozen=True, slots=True)
class Table:
    """Where claims lie, under a primary key of some columns"""

    claim: Mapping[int, str]
    """for so many rows, and the present time"""
    find: str


def _table(name: str, *key: str) -> Table:
    row = ", ".join("?" * (len(key) + 4))
    claim = f"""
    INSERT INTO {name} VALUES {{rows}}
    ON CONFLICT DO UPDATE SET comment_id = excluded.comment_id, created_at_ms = excluded.created_at_ms,
      digest = excluded.digest, expires_at_ms = excluded.expires_at_ms
    WHERE {name}.expires_at_ms <= ?
    """  # noqa: S608
    where = " AND ".join(f"{column} = ?" for column in key)
    return Table(
        statements(claim, f"({row})"),
        f"SELECT comment_id, created_at_ms, digest FROM {name} WHERE {where}",  # noqa: S608
    )


BY_KEY = _table("idempotency_keys", "author_id", "video_id", "key")
BY_TIME = _table("timed_claims", "made_ms", "name")
SWEEP_KEYS = """
DELETE FROM idempotency_keys WHERE (author_id, video_id, key) IN (
    SELECT author_id, video_id, key FROM idempotency_keys WHERE expires_at_ms <= ? LIMIT ?
)
"""
SWEEP_TIMED = """
DELETE FROM timed_claims WHERE (made_ms, name) IN (
    SELECT made_ms, name FROM timed_claims WHERE expires_at_ms <= ? LIMIT ?
)
"""
NODE = "SELECT holder, words FROM nodes WHERE node = ? AND expires_at_ms > ?"
CLAIM_NODE = "INSERT OR REPLACE INTO nodes VALUES (?, ?, ?, ?)"
RELEASE_NODE = "DELETE FROM nodes WHERE node = ? AND holder = ?"


class SqliteClaims:
    """`history.store.Keys` and `Nodes`, and `append_claimed` of `history.store.Store`"""

    def __init__(self, file: WriteFile, insert: Callable[[sqlite3.Connection, Sequence[Comment]], None]) -> None:
        """insert: appends comments within a transaction."""
        self._file = file
        self._insert = insert

    async def append_claimed(self, items: Sequence[Claimed], now_ms: int, keep_ms: int) -> Sequence[Claim]:
        claims = [claim for _, claim in items]

        def work(connection: sqlite3.Connection) -> list[Claim]:
            firsts = _claim(connection, claims, now_ms, now_ms + keep_ms)
            self._insert(connection, own_comments(items, firsts))
            return firsts

        return await self._file.write(work) if items else []

    async def claim_of(self, author_id: str, video_id: str, key: str) -> Claim | None:
        table, place = _place(Claim(author_id, video_id, key, 0, 0, b""))
        for row in await self._file.query(f"{table.find} AND expires_at_ms > ?", (*place, wall_ms())):
            return Claim(author_id, video_id, key, *row)
        return None

    async def claim_node(self, node: int, holder: str, words: str, now_ms: int, lease_ms: int) -> str | None:
        def work(connection: sqlite3.Connection) -> str | None:
            for their_holder, their_words in connection.execute(NODE, (node, now_ms)).fetchall():
                if not may_replace(holder, their_holder):
                    return str(their_words)
            connection.execute(CLAIM_NODE, (node, holder, words, now_ms + lease_ms))
            return None

        return await self._file.write(work)

    async def release_node(self, node: int, holder: str) -> None:
        await self._file.write(lambda connection: connection.execute(RELEASE_NODE, (node, holder)).rowcount)


def _place(claim: Claim) -> tuple[Table, tuple[object, ...]]:
    """The table and the primary key"""
    made_ms = time_of_key(claim.key)
    if made_ms is None:
        return BY_KEY, (claim.author_id, claim.video_id, claim.key)
    return BY_TIME, (made_ms, name_of_key(claim.author_id, claim.video_id, claim.key))


def _claim(connection: sqlite3.Connection, claims: list[Claim], now_ms: int, end_ms: int) -> list[Claim]:
    """The claims that hold, those that are over replaced"""
    placed = [(claim, *_place(claim)) for claim in claims]
    written = 0
    for table in (BY_TIME, BY_KEY):
        rows = [(*key, c.comment_id, c.created_at_ms, c.digest, end_ms) for c, its, key in placed if its is table]
        for some in pieces(rows):
            written += connection.execute(table.claim[len(some)], (*chain.from_iterable(some), now_ms)).rowcount
    if written == len(claims):  # nearly always
        return claims
    return [
        Claim(each.author_id, each.video_id, each.key, *connection.execute(table.find, key).fetchone())
        for each, table, key in placed
    ]


def sweep_keys(connection: sqlite3.Connection, now_ms: int, limit: int) -> int:
    """Deletes up to `limit` expired claims in each table, and returns how many it has deleted."""
    return sum(connection.execute(sweep, (now_ms, limit)).rowcount for sweep in (SWEEP_KEYS, SWEEP_TIMED))
