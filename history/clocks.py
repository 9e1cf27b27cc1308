"""The stores' clocks: wall time for what is stored, monotonic time for durations. The core takes both as arguments."""

import time


def wall_ms() -> int:
    """Milliseconds since 1970"""
    return time.time_ns() // 1_000_000


def monotonic_ms() -> int:
    """Milliseconds since an arbitrary moment, for durations"""
    return time.monotonic_ns() // 1_000_000


def monotonic_s() -> float:
    """Seconds, for what is compared with other holders of `time.monotonic()`: a copy's validity"""
    return time.monotonic()
