"""Reads the clocks of a replica and of its command line. Nothing else here reads one: cores are given the time."""

import time
from collections.abc import Callable


def wall_ms() -> int:
    """Milliseconds since 1970: for people, and for other machines"""
    return time.time_ns() // 1_000_000


def monotonic_ms() -> int:
    """Milliseconds since some moment: for durations"""
    return time.monotonic_ns() // 1_000_000


def steady_clock_ms() -> Callable[[], int]:
    """A clock for both: milliseconds since 1970 as the wall clock says now, and from then on monotonic.

    It never steps, so its differences are durations; and its times can be compared with the ids of comments, which
    begin with milliseconds since 1970. It is the `now_ms` of the registry, the links and the publishers.
    """
    offset_ns = time.time_ns() - time.monotonic_ns()
    return lambda: (time.monotonic_ns() + offset_ns) // 1_000_000


def local_time(at_ms: int) -> str:
    """'14:03:07' in the local time zone. at_ms: since 1970"""
    return time.strftime("%H:%M:%S", time.localtime(at_ms / 1000))


def block_s(seconds: float) -> None:
    """Blocks the thread: for the command line only."""
    time.sleep(seconds)
