"""What the parts of the Cassandra store share: a session, a keyspace, and statements that are prepared once."""

import asyncio
from collections.abc import Sequence

from cassandra.query import BatchStatement, BatchType, PreparedStatement

from history.cassandra.session import CassandraSession, Row
from history.config import BUCKET_MS
from history.core.ids import time_of

Partition = tuple[str, int]
"""A video's id and a bucket"""


class CassandraTables:
    """Runs statements in one keyspace. In CQL, $keyspace stands for its name; what comes from outside is bound."""

    def __init__(self, session: CassandraSession, keyspace: str) -> None:
        self.session = session
        self.keyspace = keyspace
        self._prepared: dict[str, PreparedStatement] = {}

    async def statement(self, cql: str) -> PreparedStatement:
        """Raises StoreUnavailable."""
        statement = self._prepared.get(cql)
        if statement is None:
            statement = await self.session.prepare(cql.replace("$keyspace", self.keyspace))
            self._prepared[cql] = statement
        return statement

    async def run(self, cql: str, *parameters: object) -> list[Row]:
        """All rows. Raises StoreUnavailable."""
        return await self.session.execute(await self.statement(cql), parameters)

    async def run_batches(self, cql: str, partitions: Sequence[Sequence[tuple[object, ...]]]) -> None:
        """Runs the statement for each row: an unlogged batch, which is one mutation, for each partition's rows."""
        statement = await self.statement(cql)
        batches = []
        for rows in partitions:
            batch = BatchStatement(BatchType.UNLOGGED)
            batch.is_idempotent = True
            for row in rows:
                batch.add(statement, row)
            batches.append(batch)
        await asyncio.gather(*(self.session.execute(batch) for batch in batches))


def ttl_s(ms: int) -> int:
    """As a time to live: whole seconds, and at least one, for 0 would be for ever."""
    return max(1, ms // 1000)


def bucket_of(comment_id: int) -> int:
    return time_of(comment_id) // BUCKET_MS
