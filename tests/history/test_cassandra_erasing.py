"""CassandraErasing keeps the contract, on a real node."""

import pytest

from tests.history.contract import video
from tests.history.erasing_contract import ErasingContract
from tests.history.test_cassandra_store import store

__all__ = ["store", "video"]


@pytest.fixture(scope="module")
def url(shared_cassandra_url: str) -> str:
    return shared_cassandra_url


class TestCassandraErasing(ErasingContract):
    pass
