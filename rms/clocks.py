"""The clocks of a node. Pure code has none: the time is an argument."""

import time


def wall_ms() -> int:
    """Milliseconds since 1970. Ids are made of it."""
    return time.time_ns() // 1_000_000


def monotonic_ms() -> int:
    """Milliseconds, for durations"""
    return time.monotonic_ns() // 1_000_000


def monotonic_us() -> int:
    """Microseconds, for durations below a millisecond"""
    return time.monotonic_ns() // 1_000
