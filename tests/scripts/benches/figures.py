"""Figures that a run might have given."""

from typing import Any

import msgspec

from scripts.benches.run import Figures

FIGURES = Figures(
    server="rms",
    rate=20.0,
    viewers=10_000,
    idle=0,
    gzip=False,
    frame_bytes=202.0,
    deliveries_per_s=198_000.0,
    delivered=0.99,
    falls_behind=False,
    lost=0,
    doubled=0,
    disordered=0,
    ended=0,
    p50_ms=40.0,
    p90_ms=80.0,
    p99_ms=120.0,
    p999_ms=150.0,
    max_ms=160.0,
    cpu_s_per_million=1.25,
    viewers_cpu_s_per_million=0.25,
    connect_s=2.0,
    rss_bytes_per_viewer=205.0,
    rss_end_bytes=60 << 20,
    longest_hold_ms=0.0,
    tcp_bytes=1 << 20,
)


def like(**changes: Any) -> Figures:
    return msgspec.structs.replace(FIGURES, **changes)
