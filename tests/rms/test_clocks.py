"""rms/clocks.py"""

from rms.clocks import monotonic_ms, wall_ms
from tests.rms.parts import T0


def test_two_clocks() -> None:
    assert wall_ms() > T0
    assert monotonic_ms() <= monotonic_ms()
