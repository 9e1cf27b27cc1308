"""rms/config.py and rms/clocks.py"""

import pytest

from rms.clocks import monotonic_ms, monotonic_us, wall_ms
from rms.config import RmsSettings
from tests.rms.parts import T0


def test_the_feeds_limits_are_the_settings() -> None:
    limits = RmsSettings.parse(["--backfill", "7", "--log-bytes-max", "1000"]).feed_limits()
    assert (limits.log_comments_min, limits.log_bytes_max) == (7, 1000)


def test_the_environment_is_read_and_a_flag_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVECOMMENTS_RMS_CAPACITY", "5")
    assert RmsSettings.parse([]).capacity == 5
    assert RmsSettings.parse(["--capacity", "6"]).capacity == 6


def test_two_clocks() -> None:
    assert wall_ms() > T0
    assert monotonic_ms() <= monotonic_us() // 1_000 <= monotonic_ms()
