"""How often and how much: a rate for each key, and a count for each key. Bounded in memory, whoever comes.

The rate is the generic cell rate algorithm (ITU-T I.371, annex A): of each key only the time is kept at which it would
have used up what it may. (PyPI's limits counts by the wall clock, and remembers any number of keys.)
"""

from collections import OrderedDict

OTHERS = ""
"""The key of all for whom there is no room: they share one rate."""


class Rate:
    """At most `per_s` a second of each key, and `burst` at once."""

    def __init__(self, per_s: float, burst: float, keys_max: int) -> None:
        """keys_max: that are remembered, 150 bytes each; those beyond share one rate. A key is forgotten once it may
        have its whole burst again."""
        self.per_s = per_s
        self._interval_s = 1 / per_s
        self._burst_s = max(1.0, burst) / per_s
        self._keys_max = keys_max
        self._used_up_s: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._used_up_s)

    def wait_s(self, key: str, now_s: float, cost: float = 1.0) -> float:
        """0: it may, and that is counted. Else the seconds until it may. now_s: of a monotonic clock. A cost above the
        burst is let through when the whole burst is there, and makes the key wait afterwards."""
        used, key = self._used_up_s, self._known_as(key, now_s)
        begin_s = max(now_s, used.get(key, 0.0))
        over_s = begin_s - now_s + min(cost * self._interval_s, self._burst_s) - self._burst_s
        if over_s > 1e-9:
            return over_s
        used[key] = begin_s + cost * self._interval_s
        used.move_to_end(key)
        return 0.0

    def is_used_up(self, key: str, now_s: float) -> bool:
        """Whether `wait_s` would let it wait. Nothing is counted."""
        used_s = self._used_up_s.get(key if key in self._used_up_s or self._has_room else OTHERS)
        return used_s is not None and used_s - now_s + self._interval_s - self._burst_s > 1e-9

    def use(self, key: str, now_s: float, cost: float) -> bool:
        """Counts what can't be refused any more, as far as the key then waits for one burst's time. False: it has had
        too much before."""
        used, key = self._used_up_s, self._known_as(key, now_s)
        begin_s = max(now_s, used.get(key, 0.0))
        used[key] = max(begin_s, min(begin_s + cost * self._interval_s, now_s + 2 * self._burst_s))
        used.move_to_end(key)
        return begin_s <= now_s + self._burst_s

    def _known_as(self, key: str, now_s: float) -> str:
        used = self._used_up_s
        while used and next(iter(used.values())) <= now_s:
            used.popitem(last=False)
        return key if key in used or self._has_room else OTHERS

    @property
    def _has_room(self) -> bool:
        return len(self._used_up_s) < self._keys_max


class Turns:
    """When each of those who are refused is to come again: one after the other, as fast as they are let in. With one
    time for all, all would come at once, again and again."""

    def __init__(self, per_s: float, wait_s_max: float) -> None:
        """wait_s_max: who would have to wait longer shares the times of those before."""
        self._interval_s = 1 / per_s
        self._wait_s_max = wait_s_max
        self._last_s = 0.0

    def wait_s(self, now_s: float) -> float:
        """Seconds until the next turn that nobody has. now_s: of a monotonic clock"""
        self._last_s = max(self._last_s, now_s) + self._interval_s
        if self._last_s > now_s + self._wait_s_max:
            self._last_s = now_s + min(self._interval_s, self._wait_s_max)
        return self._last_s - now_s


class Shares:
    """At most `each_max` at the same time of each key."""

    def __init__(self, each_max: int) -> None:
        self.each_max = each_max
        self._taken: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._taken)

    def take(self, key: str) -> bool:
        """False: it has as many as it may. Else it has one more, until `free`."""
        taken = self._taken.get(key, 0)
        if taken >= self.each_max:
            return False
        self._taken[key] = taken + 1
        return True

    def free(self, key: str) -> None:
        """Of one that was taken"""
        taken = self._taken[key] - 1
        if taken:
            self._taken[key] = taken
        else:
            del self._taken[key]
