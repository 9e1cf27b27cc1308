"""Ids whose time doesn't run ahead of the dispatchers' clocks when this process's clock was set wrong.

An id can't be taken back, and all later ones of this process are larger. So one second with a clock that is 20 minutes
ahead would put all of its ids ahead for 20 minutes, beyond what a viewer's position can name (rms/feed/position.py):
comments of the other services would then count as had.
"""

from collections.abc import Callable

from history.core.ids import IdSource


class ClockedIds(IdSource):
    """A clock that is set forward counts only once dispatchers have confirmed it. Setting it back needs nothing: ids
    grow all the same."""

    def __init__(
        self,
        node: int,
        *,
        ahead_ms_max: int,
        wall_ms: Callable[[], int],
        boot_ms: Callable[[], int],
        off_ms: int = 0,
    ) -> None:
        """ahead_ms_max: how far an id may lie ahead of what was confirmed last. off_ms: how far the clock is ahead now,
        as far as anybody knows; apart from that it counts as right at first.
        boot_ms: a clock that goes on while the machine sleeps. By one that stands still then, the wall clock would seem
        to be set forward, and ids would stay behind until a dispatcher confirms them."""
        super().__init__(node)
        self._ahead_ms_max = ahead_ms_max
        self._wall_ms = wall_ms
        self._boot_ms = boot_ms
        self.confirm()
        self._ceiling_ms -= off_ms

    def confirm(self) -> None:
        """The clock is right now."""
        self._ceiling_ms = self._wall_ms() - self._boot_ms() + self._ahead_ms_max

    def next(self, now_ms: int) -> int:
        return super().next(min(now_ms, self._boot_ms() + self._ceiling_ms))
