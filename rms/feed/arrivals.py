"""When each entry of a log came: for its age, by a wall clock that may be set meanwhile.

Whoever holds a log with viewers asks at least once in STEP_MS_MAX how old it is. So a longer step of the clock, or one
backwards, is the clock's and not the time's: then the times of what is here are set along with it. Else a step of an
hour would drop all logs at once, and one backwards would keep them for an hour too long. Where heartbeats are set to
come less often, time counts too little, and bytes bound the log.

Rule: no clock; `now_ms` comes in.
"""

from array import array

STEP_MS_MAX = 60_000
"""Four times as long as between two heartbeats"""

STEP_MS_MIN = -1_000
"""Callers may have read the clock before they waited for something."""


class Arrivals:
    __slots__ = ("_at_ms", "_now_ms")

    def __init__(self, now_ms: int) -> None:
        self._at_ms = array("q")
        self._now_ms = now_ms

    def __len__(self) -> int:
        return len(self._at_ms)

    def __getitem__(self, index: int) -> int:
        return self._at_ms[index]

    def add(self, now_ms: int) -> None:
        self.note(now_ms)
        self._at_ms.append(now_ms)

    def drop(self, count: int) -> None:
        """The first ones"""
        del self._at_ms[:count]

    def note(self, now_ms: int) -> None:
        step = now_ms - self._now_ms
        self._now_ms = now_ms
        if not STEP_MS_MIN <= step <= STEP_MS_MAX:
            set_by_ms = step if step < 0 else step - STEP_MS_MAX
            self._at_ms = array("q", (each + set_by_ms for each in self._at_ms))
