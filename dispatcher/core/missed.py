"""What may a node have missed? Who was here until when, and what was published since.

Rule 1: no clock in here, `now_ms` comes in. Rule 2: this is all that a replica remembers of nodes that are gone, and
only for as long as the ring of recent ids reaches.
"""

from dataclasses import dataclass

from dispatcher.core.recent import Recent


@dataclass(frozen=True, slots=True)
class _Gone:
    incarnation: int
    ended_ms: int


class Missed:
    def __init__(self, recent_s: int, beat_ms: int, gone_max: int, started_ms: int) -> None:
        self._recent = Recent(recent_s, started_ms)
        self._span_ms = recent_s * 1000
        self._beat_ms = beat_ms
        self._gone_max = gone_max
        self._started_ms = started_ms
        self._gone: dict[str, _Gone] = {}  # in the order in which they went

    def __len__(self) -> int:
        """How many gone nodes are remembered"""
        return len(self._gone)

    def published(self, smallest_id: int, now_ms: int) -> None:
        """Comments from this id on went through here now, or were given up with the link that should have had them.

        The second matters as much as the first: a link's end answers its publishers, so nobody sends those comments
        again, and their node must find them in what it has missed.
        """
        self._recent.published(smallest_id, now_ms)

    def left(self, node_id: str, incarnation: int, now_ms: int) -> None:
        self._gone.pop(node_id, None)
        self._gone[node_id] = _Gone(incarnation, now_ms)

    def came(self, node_id: str, incarnation: int) -> int:
        """Since when may the node have missed something?

        - The same life of it was here before: since that registration ended. The replica's own word counts: a node that
          was stopped for a while believes that it has heard everything.
        - Else since this replica's start. What a dead replica had not delivered was never acknowledged, so it was sent
          again elsewhere.
        """
        gone = self._gone.pop(node_id, None)
        return gone.ended_ms if gone and gone.incarnation == incarnation else self._started_ms

    def catch_up_from(self, since_ms: int, now_ms: int) -> int:
        """From which id on must be read, with one beat to spare? 0: nothing was missed."""
        return self._recent.smallest_since(since_ms - self._beat_ms, now_ms)

    def forget(self, now_ms: int) -> None:
        """Forgets who went before the ring of recent ids begins, and the first of too many."""
        while self._gone:
            node_id, gone = next(iter(self._gone.items()))
            if gone.ended_ms >= now_ms - self._span_ms and len(self._gone) <= self._gone_max:
                break
            del self._gone[node_id]
