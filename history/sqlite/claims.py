"""Idempotency-Keys and node numbers in SQLite. The write lock decides who was first, also among processes.

A claim and its comment are written in one transaction, many at once: a keyed comment is fsynced once, as any other.
"""

import sqlite3
from collections.abc import Callable, Sequence
from itertools import chain

from history.core.model import Comment
from history.sqlite.file import WriteFile
from history.sqlite.pieces import pieces, statements
from history.store import Claim, Claimed, own_comments

CLAIM_KEY = """
INSERT INTO idempotency_keys VALUES {rows}
ON CONFLICT DO UPDATE SET comment_id = excluded.comment_id, created_at_ms = excluded.created_at_ms,
  digest = excluded.digest, expires_at_ms = excluded.expires_at_ms
WHERE idempotency_keys.expires_at_ms <= ?
"""
CLAIM_KEYS = statements(CLAIM_KEY, "(?, ?, ?, ?, ?, ?, ?)")
CLAIM_OF_KEY = """
SELECT author_id, video_id, key, comment_id, created_at_ms, digest FROM idempotency_keys
WHERE author_id = ? AND video_id = ? AND key = ?
"""
SWEEP_KEYS = """
DELETE FROM idempotency_keys WHERE (author_id, video_id, key) IN (
    SELECT author_id, video_id, key FROM idempotency_keys WHERE expires_at_ms <= ? LIMIT ?
)
"""
CLAIM_NODE = """
INSERT INTO nodes VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (node) DO UPDATE SET holder = ?2, words = ?3, expires_at_ms = ?4 WHERE holder = ?2 OR expires_at_ms <= ?5
"""
RELEASE_NODE = "DELETE FROM nodes WHERE node = ? AND holder = ?"


class SqliteClaims:
    """`history.store.Nodes`, and `append_claimed` of `history.store.Store`"""

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

    async def claim_node(self, node: int, holder: str, words: str, now_ms: int, lease_ms: int) -> str | None:
        def work(connection: sqlite3.Connection) -> str | None:
            if connection.execute(CLAIM_NODE, (node, holder, words, now_ms + lease_ms, now_ms)).rowcount:
                return None
            (theirs,) = connection.execute("SELECT words FROM nodes WHERE node = ?", (node,)).fetchone()
            return str(theirs)

        return await self._file.write(work)

    async def release_node(self, node: int, holder: str) -> None:
        await self._file.write(lambda connection: connection.execute(RELEASE_NODE, (node, holder)).rowcount)


def _claim(connection: sqlite3.Connection, claims: list[Claim], now_ms: int, end_ms: int) -> list[Claim]:
    """The claims that hold, those that are over replaced"""
    rows = [(c.author_id, c.video_id, c.key, c.comment_id, c.created_at_ms, c.digest, end_ms) for c in claims]
    written = 0
    for some in pieces(rows):
        written += connection.execute(CLAIM_KEYS[len(some)], (*chain.from_iterable(some), now_ms)).rowcount
    if written == len(rows):  # nearly always
        return claims
    return [Claim(*connection.execute(CLAIM_OF_KEY, row[:3]).fetchone()) for row in rows]


def sweep_keys(connection: sqlite3.Connection, now_ms: int, limit: int) -> int:
    """Deletes up to `limit` expired claims of keys, and returns how many it has deleted."""
    return connection.execute(SWEEP_KEYS, (now_ms, limit)).rowcount
