"""dispatcher/clocks.py: a clock that tells the time since 1970 and never steps back"""

from dispatcher.clocks import steady_clock_ms


def test_the_clock_is_steady_and_tells_the_time_since_1970() -> None:
    now_ms = steady_clock_ms()
    readings = [now_ms() for _ in range(1000)]
    assert readings == sorted(readings)
    assert readings[0] > 1_700_000_000_000
