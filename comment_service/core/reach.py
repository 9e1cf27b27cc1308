"""Decides when to publish through another replica, because that one reaches more nodes.

A node that a replica doesn't reach gets what is published through it late: it reads history for it, ever more rarely
the longer that replica is away. And what is published over a link that has become slow comes late to all nodes. In both
cases another replica may be better, though nothing has failed here.

A replica is better than the one in use if it has answered, and that one hasn't; or if it has more nodes. Only a replica
that is better in two looks in a row is gone to: nodes come and go, one replica sees it before the other, and one answer
may be late. None is gone to that is merely as good, so two replicas of which each lacks a node are never swapped.

Rule: no clock, no gRPC.
"""

from collections.abc import Mapping

Nodes = Mapping[str, int | None]
"""How many nodes each replica reaches that has answered in time, by address; None: its version doesn't tell"""


class Reach:
    """What was seen while one replica is used"""

    def __init__(self, used: str) -> None:
        self._used = used
        self._better: frozenset[str] = frozenset()  # at the last look

    def better(self, nodes: Nodes) -> str | None:
        """Takes a look's result. Returns the replica to go to; None: this one is good enough."""
        before, self._better = self._better, frozenset(each for each in nodes if self._is_better(each, nodes))
        again = before & self._better
        return max(again, key=lambda each: (nodes[each] or 0, each), default=None)

    def _is_better(self, other: str, nodes: Nodes) -> bool:
        theirs = nodes[other]
        if self._used not in nodes:
            return theirs != 0  # who reaches nobody, because it has just started, is no better than a late answer
        ours = nodes[self._used]
        return ours is not None and theirs is not None and theirs > ours

    def words(self, other: str, nodes: Nodes) -> str:
        """Why the other one is better"""
        if self._used not in nodes:
            return f"its link is slow: {other} answers, and it doesn't"
        return f"nodes can't reach it: it has {nodes[self._used]} of them, and {other} has {nodes[other]}"
