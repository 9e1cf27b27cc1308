"""How long a viewer saw nothing: the longest stretch between two comments in a window of time."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise


def longest_silence_s(arrivals_s: Sequence[float], from_s: float, to_s: float) -> float:
    """arrivals_s: sorted. A silence under way at the window's begin counts whole; one under way at its end counts up to
    there, for what comes then has another cause."""
    first = bisect_right(arrivals_s, from_s) - 1
    last = bisect_left(arrivals_s, to_s)
    points = [arrivals_s[first] if first >= 0 else from_s, *arrivals_s[first + 1 : last], to_s]
    return max(later - earlier for earlier, later in pairwise(points))
