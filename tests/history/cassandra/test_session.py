"""history/cassandra/session.py: the driver's futures and errors in our words; the stores' tests cover the rest"""

import pytest

from history.cassandra.session import CassandraSession
from history.config import StoreSettings
from history.store import StoreUnavailable


async def test_where_no_cassandra_is_it_is_said_at_once_and_in_a_sentence() -> None:
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1"):
        await CassandraSession.connect(("127.0.0.1",), 1, StoreSettings(cassandra_connect_timeout_ms=500))
