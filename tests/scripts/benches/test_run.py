"""scripts/benches/run.py: from what was counted to figures, and from several runs to one"""

import pytest

from scripts.benches.run import Load, figures, medians
from scripts.benches.schedule import Schedule
from scripts.benches.viewers import Report, Timeline
from tests.scripts.benches.figures import like

SECOND = 1_000_000_000
LOAD = Load(viewers=10, rate=10, seconds=2)
SCHEDULE = Schedule(start_ns=100 * SECOND, rate=10, count=LOAD.comments)


def report(deliveries: int = 200, in_time: int = 200, last_ns: int = 102 * SECOND) -> Report:
    timeline = Timeline(100 * SECOND, 100, [in_time] + [0] * 40 + [deliveries - in_time])
    latency = [(1_000, deliveries // 2), (9_000, deliveries - deliveries // 2)]
    return Report(
        10, 2, 0, deliveries, 200 - deliveries, 0, 0, 0, 0, 0, 0, 40_000, last_ns, 9_000, 0.1, latency, timeline
    )


def test_figures_are_made_of_what_was_counted() -> None:
    made = figures("rms", LOAD, SCHEDULE, 102 * SECOND, report(), connect_s=1.0, cpu_s=0.5, rss=(1_000, 13_000, 20_000))
    assert made.deliveries_per_s == 100
    assert (made.p50_ms, made.p99_ms, made.max_ms) == (1.0, 9.0, 9.0)
    assert made.cpu_s_per_million == pytest.approx(2_500)
    assert made.rss_bytes_per_viewer == 1_000  # twelve have come, of whom two never read
    assert (made.frame_bytes, made.delivered, made.falls_behind) == (200, 1.0, False)


def test_who_delivers_too_little_in_time_falls_behind() -> None:
    late = {"in_time": 180, "last_ns": 104 * SECOND}
    made = figures("c", LOAD, SCHEDULE, 0, report(**late), connect_s=1.0, cpu_s=0.5, rss=(0, 0, 0))
    assert made.falls_behind
    assert made.delivered == 0.9
    assert made.deliveries_per_s == 50  # all of it, in twice the time


def test_who_blocks_its_publisher_falls_behind() -> None:
    taken_ns = SCHEDULE.end_ns + SECOND
    made = figures("c", LOAD, SCHEDULE, taken_ns, report(), connect_s=1.0, cpu_s=0.5, rss=(0, 0, 0))
    assert made.falls_behind


def test_a_run_without_any_delivery_has_figures_too() -> None:
    nothing = Report(10, 0, 10, 0, 200, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0.1, [], Timeline(0, 1, []))
    made = figures("c", LOAD, SCHEDULE, 0, nothing, connect_s=1.0, cpu_s=0.5, rss=(0, 0, 0))
    assert (made.deliveries_per_s, made.falls_behind, made.p99_ms, made.ended) == (0, True, 0, 10)


def test_medians_hide_no_fault() -> None:
    runs = [like(p99_ms=1.0, lost=0), like(p99_ms=9.0, lost=3, falls_behind=True), like(p99_ms=2.0, doubled=1)]
    middle = medians(runs)
    assert (middle.p99_ms, middle.lost, middle.doubled, middle.falls_behind) == (2.0, 3, 1, False)
    assert middle.server == "rms"
    assert medians(runs[:1]) == runs[0]
