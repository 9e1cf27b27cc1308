"""scripts/benches/config.py: what the numbers must hold to"""

from scripts.benches.config import BENCH, MILLION


def test_handshakes_in_flight_fit_a_small_backlog() -> None:
    assert BENCH.in_flight <= 4096  # net.core.somaxconn's default


def test_processes_stay_below_a_common_limit_of_open_files() -> None:
    assert BENCH.viewers_per_process_max < 20_000 - 500
    assert MILLION.capacity <= BENCH.viewers_per_process_max
