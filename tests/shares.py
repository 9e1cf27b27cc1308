"""Decides which tests stay together when several processes share the tests, as with `pytest -n 3` in scripts/test."""

from xdist.scheduler import LoadScopeScheduling

CASSANDRA = "real Cassandras"
SCRIPTS_RUN = "scripts/run"

TOGETHER = {
    # One node serves nearly all of these. So no other Cassandra starts at the same time and takes both cores.
    "cassandra": CASSANDRA,
    "outage": CASSANDRA,
    "benches/test_partition": CASSANDRA,
    # It has default ports: two that start at the same moment would find the same ones free.
    "end_to_end/test_run": SCRIPTS_RUN,
    "scripts_run": SCRIPTS_RUN,
}
"""Part of a test's path or name -> its share"""

LONG = ("tests/end_to_end/", "tests/scripts/benches/")
"""Folders of the tests that take longest, after those on Cassandra"""


def share_of(test: str) -> str:
    """The share in TOGETHER, or the test's file, because a file's tests may share a fixture"""
    return next((share for part, share in TOGETHER.items() if part in test), test.partition("::")[0])


def rank(test: str) -> int:
    """Sorts long tests first, so that all processes are busy until the end."""
    if share_of(test) == CASSANDRA:
        return 0
    return 1 if test.startswith(LONG) else 2


class Shares(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Gives the next share to the first process that is idle."""

    def _split_scope(self, nodeid: str) -> str:
        return share_of(nodeid)
