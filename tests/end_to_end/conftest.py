"""Fixtures of the end-to-end tests: a real browser and a real Cassandra."""

from tests.browser_fixture import chromium, open_page, steady_network
from tests.cassandra_fixture import cassandra, cassandra_url

__all__ = ["cassandra", "cassandra_url", "chromium", "open_page", "steady_network"]
