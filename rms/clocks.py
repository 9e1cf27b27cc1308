"""The two clocks of a node. Cores have none: they are told `now_ms`."""

import time


def wall_ms() -> int:
    """Milliseconds since 1970: what ids are made of, and feeds reckon in"""
    return time.time_ns() // 1_000_000


def monotonic_ms() -> int:
    """For durations"""
    return time.monotonic_ns() // 1_000_000


def monotonic_us() -> int:
    """For durations below a millisecond"""
    return time.monotonic_ns() // 1_000
