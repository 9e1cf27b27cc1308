"""What the parts of the Cassandra store share: a session, a keyspace, and statements that are prepared once."""

import asyncio
from collections.abc import Sequence

from cassandra.query import BatchStatement, BatchType, PreparedStatement

from history.cassandra.session import CassandraSession, Row
from history.config import BUCKET_MS, TOLD_SINCE_MS_MAX, StoreSettings
from history.core.ids import time_of

MINUTE_MS = 60_000
"""What one partition of the tables covers in which processes tell each other what changed. A part of the schema."""

Partition = tuple[str, int]
"""A video's id and a bucket"""


class CassandraTables:
    def __init__(self, session: CassandraSession, keyspace: str, settings: StoreSettings) -> None:
        self._session = session
        self._keyspace = keyspace
        self._settings = settings
        self._prepared: dict[str, PreparedStatement] = {}

    async def close(self) -> None:
        await self._session.close()

    async def _statement(self, cql: str) -> PreparedStatement:
        """$keyspace in it stands for ours; what comes from outside is bound. Raises StoreUnavailable."""
        statement = self._prepared.get(cql)
        if statement is None:
            statement = await self._session.prepare(cql.replace("$keyspace", self._keyspace))
            self._prepared[cql] = statement
        return statement

    async def _run(self, cql: str, *parameters: object) -> list[Row]:
        """All rows. Raises StoreUnavailable."""
        return await self._session.execute(await self._statement(cql), parameters)

    async def _in_batches(self, cql: str, partitions: Sequence[Sequence[tuple[object, ...]]]) -> None:
        """An unlogged batch for each partition: one mutation"""
        statement = await self._statement(cql)
        batches = []
        for rows in partitions:
            batch = BatchStatement(BatchType.UNLOGGED)
            batch.is_idempotent = True
            for row in rows:
                batch.add(statement, row)
            batches.append(batch)
        await asyncio.gather(*(self._session.execute(batch) for batch in batches))

    async def _told(self, cql: str, since_ms: int, now_ms: int) -> list[Row]:
        """What was told since then, at most an hour ago. cql: of one minute, from a time on."""
        since_ms = max(since_ms, now_ms - TOLD_SINCE_MS_MAX)
        minutes = range(since_ms // MINUTE_MS, now_ms // MINUTE_MS + 2)  # one more: a clock may be ahead of ours
        found = await asyncio.gather(*(self._run(cql, minute, since_ms) for minute in minutes))
        return [row for rows in found for row in rows]


def ttl_s(ms: int) -> int:
    """A time to live is whole seconds, and 0 would be for ever."""
    return max(1, ms // 1000)


def bucket_of(comment_id: int) -> int:
    return time_of(comment_id) // BUCKET_MS
