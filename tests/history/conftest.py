"""The history tests' real Cassandra."""

import pytest

from tests.cassandra_fixture import CassandraUnderTest, cassandra, cassandra_url

__all__ = ["cassandra", "cassandra_url"]


@pytest.fixture(scope="session")
def shared_cassandra_url(cassandra: CassandraUnderTest) -> str:
    """One keyspace for the modules that need none of their own: making its tables takes 4 s."""
    return cassandra.new_url()
