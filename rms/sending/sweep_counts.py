"""Counts what sweeps do, for the metrics."""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass

SLICE_MS_BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0)
SLICE_SENDS_BOUNDS = (1, 3, 10, 30, 100, 300, 1_000)


@dataclass(frozen=True, slots=True)
class SweepStatistics:
    viewers: int
    stalled: int
    lag_bytes_max: int
    """how far the slowest viewer is behind"""
    sends: int
    bytes: int
    deliveries: int
    """frames that sweeps sent, times their viewers; without backfills and what slow viewers catch up on"""
    slices: int
    slice_ms: tuple[int, ...]
    """slices by how long they held the event loop: one count for each of SLICE_MS_BOUNDS, and one for longer ones"""
    slice_ms_sum: float
    slice_ms_longest: float
    slice_sends: tuple[int, ...]
    """slices by how many viewers they passed, likewise for SLICE_SENDS_BOUNDS"""
    slice_sends_sum: int
    closes: dict[str, int]
    """viewers closed, by reason"""


class SweepCounts:
    def __init__(self) -> None:
        self.sends = self.bytes = self.deliveries = 0
        self.closes: Counter[str] = Counter()
        self._slice_ms = [0] * (len(SLICE_MS_BOUNDS) + 1)
        self._slice_sends = [0] * (len(SLICE_SENDS_BOUNDS) + 1)
        self._slice_ms_sum = self._slice_ms_longest = 0.0
        self._slice_sends_sum = 0

    def sent(self, bytes_sent: int) -> None:
        self.sends += 1
        self.bytes += bytes_sent

    def slice(self, held_ms: float, sends: int) -> None:
        """A slice has held the event loop for so long, and passed so many viewers."""
        self._slice_ms[bisect_left(SLICE_MS_BOUNDS, held_ms)] += 1
        self._slice_sends[bisect_left(SLICE_SENDS_BOUNDS, sends)] += 1
        self._slice_ms_sum += held_ms
        self._slice_sends_sum += sends
        self._slice_ms_longest = max(self._slice_ms_longest, held_ms)

    def frozen(self, viewers: int, stalled: int, lag_bytes_max: int) -> SweepStatistics:
        return SweepStatistics(
            viewers=viewers,
            stalled=stalled,
            lag_bytes_max=lag_bytes_max,
            sends=self.sends,
            bytes=self.bytes,
            deliveries=self.deliveries,
            slices=sum(self._slice_ms),
            slice_ms=tuple(self._slice_ms),
            slice_ms_sum=self._slice_ms_sum,
            slice_ms_longest=self._slice_ms_longest,
            slice_sends=tuple(self._slice_sends),
            slice_sends_sum=self._slice_sends_sum,
            closes=dict(self.closes),
        )
