"""The service's clocks. Pure code has none: it gets `now_ms` or `monotonic_ms` as an argument."""

import time


def wall_ms() -> int:
    """Milliseconds since 1970: for ids, and for times that other processes or people read. It may step back."""
    return time.time_ns() // 1_000_000


def monotonic_ms() -> int:
    """For durations. It never steps back, and means nothing in another process."""
    return time.monotonic_ns() // 1_000_000


def monotonic_s() -> float:
    """`monotonic_ms` in seconds, for what lasts less than a millisecond, and for `history.core.runs.Validity`."""
    return time.monotonic()


def boot_ms() -> int:
    """`monotonic_ms`, but it goes on while the machine sleeps: for what others take for over meanwhile."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
