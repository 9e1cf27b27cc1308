"""Idempotency-Keys and node numbers in SQLite. The write lock decides who was first, also among processes."""

import sqlite3
from collections.abc import Sequence

from history.sqlite.file import WriteFile
from history.store import Claim

CLAIM_KEY = """
INSERT INTO idempotency_keys VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT DO UPDATE SET comment_id = ?4, created_at_ms = ?5, digest = ?6, expires_at_ms = ?7 WHERE expires_at_ms <= ?8
"""
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
    """`history.store.Claims`"""

    def __init__(self, file: WriteFile) -> None:
        self._file = file

    async def claim_keys(self, claims: Sequence[Claim], now_ms: int, keep_ms: int) -> Sequence[Claim]:
        """All in one transaction. Not fsynced: the comments' append, which comes after it in the same log, is."""
        end_ms = now_ms + keep_ms
        rows = [
            (each.author_id, each.video_id, each.key, each.comment_id, each.created_at_ms, each.digest, end_ms, now_ms)
            for each in claims
        ]

        def work(connection: sqlite3.Connection) -> list[Claim]:
            if connection.executemany(CLAIM_KEY, rows).rowcount == len(rows):  # nearly always
                return list(claims)
            return [Claim(*connection.execute(CLAIM_OF_KEY, row[:3]).fetchone()) for row in rows]

        return await self._file.write(work, synced=False)

    async def claim_node(self, node: int, holder: str, words: str, now_ms: int, lease_ms: int) -> str | None:
        def work(connection: sqlite3.Connection) -> str | None:
            if connection.execute(CLAIM_NODE, (node, holder, words, now_ms + lease_ms, now_ms)).rowcount:
                return None
            (theirs,) = connection.execute("SELECT words FROM nodes WHERE node = ?", (node,)).fetchone()
            return str(theirs)

        return await self._file.write(work)

    async def release_node(self, node: int, holder: str) -> None:
        await self._file.write(lambda connection: connection.execute(RELEASE_NODE, (node, holder)).rowcount)


def sweep_keys(connection: sqlite3.Connection, now_ms: int, limit: int) -> int:
    """Deletes up to `limit` expired claims of keys, and returns how many it has deleted."""
    return connection.execute(SWEEP_KEYS, (now_ms, limit)).rowcount
