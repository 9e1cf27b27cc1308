"""What the benches' numbers must hold to"""

from dataclasses import astuple

from scripts.benches.config import FANOUT, FAULTS, HISTORY, HISTORY_QUICK, MILLION


def test_handshakes_in_flight_fit_a_small_backlog() -> None:
    assert FANOUT.in_flight <= 4096  # net.core.somaxconn's default


def test_processes_stay_below_a_common_limit_of_open_files() -> None:
    assert FANOUT.viewers_per_process_max < 20_000 - 500
    assert MILLION.capacity <= FANOUT.viewers_per_process_max


def test_there_is_enough_of_everything() -> None:
    for settings in (HISTORY, HISTORY_QUICK):
        assert all(number > 0 for number in astuple(settings) if not isinstance(number, str))
        assert settings.past > settings.scroll_pages * settings.page
        assert settings.authors >= settings.connections
    assert HISTORY.connections == 200
    assert HISTORY.depth == 1_000_000


def test_a_post_is_given_up_after_its_answers_could_have_come() -> None:
    assert FAULTS.again_s < FAULTS.answer_timeout_s < FAULTS.give_up_s
