"""CassandraRecords keeps the contract, on a real node."""

import pytest

from tests.history.cassandra.test_store import store
from tests.history.contract import video
from tests.history.records_contract import RecordsContract

__all__ = ["store", "video"]


@pytest.fixture(scope="module")
def url(shared_cassandra_url: str) -> str:
    return shared_cassandra_url


class TestCassandraRecords(RecordsContract):
    pass
