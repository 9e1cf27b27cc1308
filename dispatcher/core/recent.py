"""What was published here in the last minutes: one number for each second, and no comment.

A node that comes back asks: from which id on may I have missed something? The answer is the smallest id that went
through this replica while it was away. Rule 1: no clock in here, `now_ms` comes in (milliseconds since 1970, from a
clock that never steps back).
"""

from array import array

ID_TIME_SHIFT = 16
"""A comment's id begins with its milliseconds since 1970, above 16 bits of node and sequence (proto/comment.proto)."""

_NOTHING = 0


class Recent:
    """The smallest id of each of the last `span_s` seconds, in 8 bytes a second."""

    def __init__(self, span_s: int, started_ms: int) -> None:
        self._smallest = array("Q", bytes(8 * span_s))
        self._span_s = span_s
        self._started_s = self._newest_s = started_ms // 1000

    def published(self, smallest_id: int, now_ms: int) -> None:
        """Notes that comments from `smallest_id` on (not 0) were published, or not delivered, now."""
        self._advance(now_ms // 1000)
        slot = self._newest_s % self._span_s
        known = self._smallest[slot]
        if known == _NOTHING or smallest_id < known:
            self._smallest[slot] = smallest_id

    def smallest_since(self, since_ms: int, now_ms: int) -> int:
        """The smallest id published since then, in whole seconds; 0 if there was none.

        Further back than the ring reaches, nobody knows. Then it is at most the id of the time where the ring begins:
        what was missed longer ago than `span_s` stays missed.
        """
        self._advance(now_ms // 1000)
        since_s = max(since_ms // 1000, self._started_s)
        oldest_s = self._newest_s - self._span_s + 1
        ids = [self._smallest[second % self._span_s] for second in range(max(since_s, oldest_s), self._newest_s + 1)]
        if since_s < oldest_s:
            ids.append(oldest_s * 1000 << ID_TIME_SHIFT)
        return min((smallest for smallest in ids if smallest != _NOTHING), default=0)

    def _advance(self, second: int) -> None:
        """Empties the seconds that have begun since the last call."""
        for begun in range(max(self._newest_s + 1, second - self._span_s + 1), second + 1):
            self._smallest[begun % self._span_s] = _NOTHING
        self._newest_s = max(self._newest_s, second)
