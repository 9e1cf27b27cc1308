"""Finds out which events a node that comes back may have missed: when it was here last, and what was published since.

Rule 1: no clock in here. `now_ms` comes in: milliseconds since 1970, from a clock that never steps back.
Rule 2: this is all that a replica remembers of nodes that are gone, and only for as long as the ring of recent ids
reaches back.
"""

from array import array
from dataclasses import dataclass

ID_TIME_SHIFT = 16
"""An event's id begins with its milliseconds since 1970, above 16 bits of node and sequence (proto/event.proto)."""

_NOTHING = 0


class Recent:
    """The smallest id published in each of the last `span_s` seconds: 8 bytes a second, and no event"""

    def __init__(self, span_s: int, started_ms: int) -> None:
        self._smallest = array("Q", bytes(8 * span_s))
        self._span_s = span_s
        self._started_s = self._newest_s = started_ms // 1000

    def published(self, smallest_id: int, now_ms: int) -> None:
        """Notes that events from `smallest_id` on (not 0) were published, or not delivered, now."""
        self._advance(now_ms // 1000)
        slot = self._newest_s % self._span_s
        known = self._smallest[slot]
        if known == _NOTHING or smallest_id < known:
            self._smallest[slot] = smallest_id

    def smallest_since(self, since_ms: int, now_ms: int) -> int | None:
        """The smallest id published since then, in whole seconds; None if there was none.

        If that is further back than the ring reaches, the result is at most the first id of the time where the ring
        begins: what was missed longer ago than `span_s` stays missed.
        """
        self._advance(now_ms // 1000)
        since_s = max(since_ms // 1000, self._started_s)
        oldest_s = self._newest_s - self._span_s + 1
        ids = [self._smallest[second % self._span_s] for second in range(max(since_s, oldest_s), self._newest_s + 1)]
        if since_s < oldest_s:
            ids.append(oldest_s * 1000 << ID_TIME_SHIFT)
        return min((smallest for smallest in ids if smallest != _NOTHING), default=None)

    def _advance(self, second: int) -> None:
        """Empties the seconds that have begun since the last call."""
        for begun in range(max(self._newest_s + 1, second - self._span_s + 1), second + 1):
            self._smallest[begun % self._span_s] = _NOTHING
        self._newest_s = max(self._newest_s, second)


@dataclass(frozen=True, slots=True)
class _Gone:
    incarnation: int
    ended_ms: int


class Missed:
    """Who was here until when, and what was published since"""

    def __init__(
        self, recent_s: int, lease_ms: int, beat_ms: int, gone_max: int, ids_behind_ms: int, started_ms: int
    ) -> None:
        """ids_behind_ms: how far an id's time may be behind the replica's clock when it is published."""
        self._recent = Recent(recent_s, started_ms)
        self._span_ms = recent_s * 1000
        self._lease_ms = lease_ms
        self._beat_ms = beat_ms
        self._ids_behind_ms = ids_behind_ms
        self._gone_max = gone_max
        self._started_ms = started_ms
        self._gone: dict[str, _Gone] = {}  # in the order in which they went

    def __len__(self) -> int:
        """How many gone nodes are remembered"""
        return len(self._gone)

    def published(self, smallest_id: int, now_ms: int) -> None:
        """Events from this id on were published here now, or their link ended before it had delivered them.

        The second matters as much as the first: the end of a link answers its publishers, so nobody sends those
        events again, and their node must find them among what it has missed.
        """
        self._recent.published(smallest_id, now_ms)

    def left(self, node_id: str, incarnation: int, now_ms: int) -> None:
        self._gone.pop(node_id, None)
        self._gone[node_id] = _Gone(incarnation, now_ms)

    def came(self, node_id: str, incarnation: int) -> int:
        """Since when may the node have missed something? In milliseconds, as `now_ms`.

        - If the same incarnation was here before: since that registration ended. The replica's own record counts: a
          node that was stopped for a while believes that it has heard everything.
        - Otherwise since this replica's start, or since the node's own silence if that began before it:
          `catch_up_from` says why.
        """
        gone = self._gone.pop(node_id, None)
        return gone.ended_ms if gone and gone.incarnation == incarnation else self._started_ms

    def catch_up_from(self, since_ms: int, now_ms: int) -> int | None:
        """The id from which the node must read history, with one beat to spare. None: it has missed nothing.

        since_ms may be before this replica's start, when an earlier life of it was here. If that life had not given the
        node up, it left what the node lacks unanswered, and publishers sent it again to another replica. But if the
        node has been silent for a lease, that life may have given it up, and answered for all that came after. It may
        have done so a beat before the node's own silence was that long, but a restart takes longer than a beat.
        """
        known = self._recent.smallest_since(since_ms - self._beat_ms, now_ms)
        if since_ms >= self._started_ms or now_ms - since_ms < self._lease_ms:
            return known
        unknown_ms = max(since_ms - self._beat_ms - self._ids_behind_ms, now_ms - self._span_ms)
        unknown_from_id = max(1, unknown_ms) << ID_TIME_SHIFT
        return unknown_from_id if known is None else min(known, unknown_from_id)

    def purge(self, now_ms: int) -> None:
        """Drops the nodes that went before the ring of recent ids begins, and the oldest if there are too many."""
        while self._gone:
            node_id, gone = next(iter(self._gone.items()))
            if gone.ended_ms >= now_ms - self._span_ms and len(self._gone) <= self._gone_max:
                break
            del self._gone[node_id]
