"""What the parts of the Cassandra store share: a session, a keyspace, and statements that are prepared once."""

from cassandra.query import PreparedStatement

from history.cassandra_session import CassandraSession, Row
from history.config import BUCKET_MS, StoreSettings
from history.ids import time_of

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


def bucket_of(comment_id: int) -> int:
    return time_of(comment_id) // BUCKET_MS
