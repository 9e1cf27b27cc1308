"""Which tests one process runs in one go, when several processes share them: `pytest -n 3`, as scripts/test does it."""

from xdist.scheduler import LoadScopeScheduling

CASSANDRA = "real Cassandras"
SCRIPTS_RUN = "scripts/run"

TOGETHER = {
    # One node serves nearly all of these, and is never beside others that start, which would take both cores for long.
    "cassandra": CASSANDRA,
    "outage": CASSANDRA,
    # It has favourite ports: two that begin at the same moment find the same ones free.
    "end_to_end/test_run": SCRIPTS_RUN,
    "scripts_run": SCRIPTS_RUN,
}
"""A part of a test's path or name -> the share that it belongs to"""

LONG = ("tests/end_to_end/", "tests/scripts/benches/")
"""Where the files are that wait longest, after Cassandra's"""


def share_of(test: str) -> str:
    """A file, since it may make something for all of its tests, or what TOGETHER says"""
    return next((share for part, share in TOGETHER.items() if part in test), test.partition("::")[0])


def rank(test: str) -> int:
    """What takes long begins first, so that the end finds all processes at work."""
    if share_of(test) == CASSANDRA:
        return 0
    return 1 if test.startswith(LONG) else 2


class Shares(LoadScopeScheduling):  # type: ignore[misc]  # xdist says nothing about its types
    """Gives the next share to a process that has nothing left to do."""

    def _split_scope(self, nodeid: str) -> str:
        return share_of(nodeid)
