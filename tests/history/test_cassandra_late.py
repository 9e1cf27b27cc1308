"""CassandraLate keeps the contract, on a real node."""

import pytest

from tests.history.contract import video
from tests.history.late_contract import LateContract
from tests.history.test_cassandra_store import store

__all__ = ["store", "video"]


@pytest.fixture(scope="module")
def url(shared_cassandra_url: str) -> str:
    return shared_cassandra_url


class TestCassandraLate(LateContract):
    pass
