"""rms/clocks.py"""

from rms.clocks import monotonic_ms, monotonic_us, wall_ms
from tests.rms.parts import T0


def test_the_clocks() -> None:
    assert wall_ms() > T0
    assert monotonic_ms() <= monotonic_us() // 1_000 <= monotonic_ms()
