"""Figures that a run might have given."""

from dataclasses import replace
from typing import Any

from scripts.benches.run import Figures, Load

LOAD = Load(viewers=10_000, rate=20.0, seconds=5.0)

FIGURES = Figures(
    server="rms",
    load=LOAD,
    deliveries_per_s=198_000.0,
    falls_behind=False,
    lost=0,
    doubled=0,
    ended=0,
    p50_ms=40.0,
    p99_ms=120.0,
    p999_ms=150.0,
    frame_bytes=202.0,
    cpu_s_per_million=1.25,
    rss_bytes_per_viewer=205.0,
    rss_end_bytes=60 << 20,
    longest_hold_ms=0.0,
    tcp_bytes=1 << 20,
)


def like(*, rate: float = LOAD.rate, **changes: Any) -> Figures:
    return replace(FIGURES, **{"load": replace(LOAD, rate=rate), **changes})
