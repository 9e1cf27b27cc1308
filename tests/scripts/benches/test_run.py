"""From what was counted to figures, and from several runs to one"""

import pytest

from scripts.benches.run import Load, figures, medians
from scripts.benches.schedule import Schedule
from scripts.benches.viewers import Report
from tests.scripts.benches.figures import like

SECOND = 1_000_000_000
LOAD = Load(viewers=10, rate=10, seconds=2)
SCHEDULE = Schedule(start_ns=100 * SECOND, rate=10, count=LOAD.comments)


def report(deliveries: int = 200, in_time: int = 200, last_ns: int = 102 * SECOND) -> Report:
    latency = [(1_000, deliveries // 2), (9_000, deliveries - deliveries // 2)]
    return Report(10, 2, 0, deliveries, in_time, 200 - deliveries, 0, 0, 0, 0, 40_000, last_ns, latency)


def test_figures_are_made_of_what_was_counted() -> None:
    made = figures("rms", LOAD, SCHEDULE, report(), blocked_s=0, cpu_s=0.5)
    assert made.deliveries_per_s == 100
    assert (made.p50_ms, made.p99_ms) == (1.0, 9.0)
    assert made.cpu_s_per_million == pytest.approx(2_500)
    assert (made.frame_bytes, made.falls_behind) == (200, False)


def test_who_delivers_too_little_in_time_falls_behind() -> None:
    made = figures("c", LOAD, SCHEDULE, report(in_time=180, last_ns=104 * SECOND), blocked_s=0, cpu_s=0.5)
    assert made.falls_behind
    assert made.deliveries_per_s == 50  # all of it, in twice the time
    assert not figures("c", LOAD, SCHEDULE, report(in_time=191), blocked_s=0, cpu_s=0.5).falls_behind


def test_who_blocks_its_publisher_falls_behind() -> None:
    assert figures("c", LOAD, SCHEDULE, report(), blocked_s=1, cpu_s=0.5).falls_behind


def test_a_run_without_any_delivery_has_figures_too() -> None:
    nothing = Report(10, 0, 10, 0, 0, 200, 0, 0, 0, 0, 0, 0, [])
    made = figures("c", LOAD, SCHEDULE, nothing, blocked_s=0, cpu_s=0.5)
    assert (made.deliveries_per_s, made.falls_behind, made.p99_ms, made.ended) == (0, True, 0, 10)


def test_medians_hide_no_fault() -> None:
    runs = [like(p99_ms=1.0, lost=0), like(p99_ms=9.0, lost=3, falls_behind=True), like(p99_ms=2.0, doubled=1)]
    middle = medians(runs)
    assert (middle.p99_ms, middle.lost, middle.doubled, middle.falls_behind) == (2.0, 3, 1, False)
    assert middle.server == "rms"
    assert medians(runs[:1]) == runs[0]
