"""The history tests' real Cassandra, and a check that no test leaves its driver running."""

from collections.abc import Iterator

import pytest
from cassandra import cluster

from tests.cassandra_fixture import CassandraUnderTest, cassandra, cassandra_url

__all__ = ["cassandra", "cassandra_url"]


@pytest.fixture(scope="session")
def shared_cassandra_url(cassandra: CassandraUnderTest) -> str:
    """One keyspace for the modules that need none of their own: making its tables takes 4 s."""
    return cassandra.new_url()


@pytest.fixture(scope="module", autouse=True)
def no_driver_is_left_running() -> Iterator[None]:
    """It would reconnect for ever, and log that into other tests."""
    before = set(cluster._clusters_for_shutdown)
    yield
    left = set(cluster._clusters_for_shutdown) - before
    for each in left:
        each.shutdown()
    assert not left
