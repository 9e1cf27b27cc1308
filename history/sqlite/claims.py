"""Idempotency-Keys in SQLite: many in one transaction. The write lock decides, also among processes."""

import sqlite3
from collections.abc import Sequence

from history.sqlite.file import WriteFile
from history.store import Claim

CLAIM = """
INSERT INTO idempotency_keys VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT DO UPDATE SET comment_id = ?4, created_at_ms = ?5, digest = ?6, expires_at_ms = ?7 WHERE expires_at_ms <= ?8
"""
CLAIMED = """
SELECT author_id, video_id, key, comment_id, created_at_ms, digest FROM idempotency_keys
WHERE author_id = ? AND video_id = ? AND key = ?
"""
SWEEP = """
DELETE FROM idempotency_keys WHERE (author_id, video_id, key) IN (
    SELECT author_id, video_id, key FROM idempotency_keys WHERE expires_at_ms <= ? LIMIT ?
)
"""


class SqliteClaims(WriteFile):
    async def claim_keys(self, claims: Sequence[Claim], now_ms: int, keep_ms: int) -> Sequence[Claim]:
        """Not fsynced: the comments' append, which comes after it in the same log, is."""
        end_ms = now_ms + keep_ms
        rows = [
            (each.author_id, each.video_id, each.key, each.comment_id, each.created_at_ms, each.digest, end_ms, now_ms)
            for each in claims
        ]

        def work(file: sqlite3.Connection) -> list[Claim]:
            if file.executemany(CLAIM, rows).rowcount == len(rows):  # nearly always
                return list(claims)
            return [Claim(*file.execute(CLAIMED, row[:3]).fetchone()) for row in rows]

        return await self._write(work, synced=False)


def sweep_claims(file: sqlite3.Connection, now_ms: int, limit: int) -> int:
    """How many expired ones have gone; fewer than the limit: no more are left"""
    return file.execute(SWEEP, (now_ms, limit)).rowcount
