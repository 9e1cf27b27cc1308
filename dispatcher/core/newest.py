"""Keeps the largest id that went through this replica, so that comment_services can keep up with each other.

An id begins with the time of the service's clock that gave it. Each response to a publish carries the largest one that
the replica knows, and no service gives a smaller one afterwards: a hybrid logical clock (Kulkarni, Demirbas et al.,
"Logical Physical Clocks", OPODIS 2014). One service whose clock is far ahead must not take all the others along, so ids
beyond a bound are left out, as that paper does with messages from clocks that are off.

Rule: no clock in here. `wall_ms` comes in: milliseconds since 1970, by the replica's own wall clock.
"""

from collections.abc import Iterable

from dispatcher.core.missed import ID_TIME_SHIFT


class Newest:
    """Only grows, except that ids beyond the bound never count."""

    def __init__(self, ahead_ms_max: int) -> None:
        """ahead_ms_max: an id whose time is further ahead of the wall clock than this doesn't count."""
        self._ahead_ms_max = ahead_ms_max
        self.id = 0
        """0: there was none yet"""

    def routed(self, ids: Iterable[int], wall_ms: int) -> None:
        """Events with these ids went through this replica now."""
        end = wall_ms + self._ahead_ms_max + 1 << ID_TIME_SHIFT
        self.id = max(self.id, max((each for each in ids if each < end), default=0))
