"""Decides which tests stay together when several processes share the tests, as with `pytest -n 3` in scripts/test."""

from typing import Any

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

    def remove_node(self, node: Any) -> str | None:
        """A test whose process has died has failed, and is not run again: it would end one process after the other.
        Returns it; the rest of what the process had goes to others."""
        shares = self.assigned_work.pop(node)
        died: str | None = next(
            (test for tests in shares.values() for test, is_done in tests.items() if not is_done), None
        )
        if died is None:
            return None
        shares[share_of(died)][died] = True
        self.workqueue.update({share: tests for share, tests in shares.items() if not all(tests.values())})
        for other in self.nodes:
            self._reschedule(other)
        return died

    def _reschedule(self, node: Any) -> None:
        if node not in self.registered_collections:
            return  # it has just come in place of another one, and asks for work when it knows the tests
        super()._reschedule(node)
        # A process runs a test when it has the next one, or knows that it was the last one.
        while not node.shutting_down and self._pending_of(self.assigned_work[node]) < 2:
            if self.workqueue:
                self._assign_work_unit(node)
            else:
                node.shutdown()
