"""The history tests' real Cassandra."""

from tests.cassandra_fixture import cassandra, cassandra_url

__all__ = ["cassandra", "cassandra_url"]
