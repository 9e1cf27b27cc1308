"""Ids follow the clock, except when it was set forward and nobody has confirmed it."""

from hypothesis import given
from hypothesis import strategies as st

from comment_service.node.clocked_ids import ClockedIds
from history.core.ids import first_id_at, time_of

BEGIN_MS = 1_700_000_000_000
HOUR_MS = 3_600_000
AHEAD_MS = 5_000


class Ids:
    """At a clock and a time that the test sets"""

    def __init__(self) -> None:
        self.passed_ms = 0
        self.off_ms = 0
        self.ids = ClockedIds(3, ahead_ms_max=AHEAD_MS, wall_ms=self.wall_ms, boot_ms=lambda: self.passed_ms)

    def wall_ms(self) -> int:
        return BEGIN_MS + self.passed_ms + self.off_ms

    def next_ms(self) -> int:
        """The next id's time, from the beginning on"""
        return time_of(self.ids.next(self.wall_ms())) - BEGIN_MS


def test_ids_have_the_time_of_the_clock() -> None:
    ids = Ids()
    assert ids.next_ms() == 0
    ids.passed_ms = 10 * HOUR_MS
    assert ids.next_ms() == 10 * HOUR_MS
    ids.off_ms = AHEAD_MS  # two clocks may differ by so much
    assert ids.next_ms() == 10 * HOUR_MS + AHEAD_MS


def test_a_clock_that_is_set_wrong_moves_ids_by_what_is_allowed_and_not_for_longer_than_it_is_wrong() -> None:
    ids = Ids()
    ids.off_ms = HOUR_MS
    assert ids.next_ms() == AHEAD_MS
    ids.passed_ms = 60_000
    assert ids.next_ms() == 60_000 + AHEAD_MS
    ids.off_ms = 0
    ids.passed_ms += 2 * AHEAD_MS
    assert ids.next_ms() == 60_000 + 2 * AHEAD_MS


def test_a_clock_that_was_behind_and_is_set_right_counts_once_it_is_confirmed() -> None:
    ids = Ids()
    ids.off_ms = HOUR_MS
    ids.next_ms()
    ids.ids.confirm()
    assert ids.next_ms() == HOUR_MS


def test_a_clock_that_is_known_to_be_ahead_at_the_start_moves_no_id_ahead() -> None:
    passed_ms = 0
    ids = ClockedIds(
        3,
        ahead_ms_max=AHEAD_MS,
        wall_ms=lambda: BEGIN_MS + HOUR_MS + passed_ms,
        boot_ms=lambda: passed_ms,
        off_ms=HOUR_MS,
    )
    assert time_of(ids.next(BEGIN_MS + HOUR_MS)) == BEGIN_MS + AHEAD_MS
    passed_ms = 60_000
    assert time_of(ids.next(BEGIN_MS + HOUR_MS + passed_ms)) == BEGIN_MS + AHEAD_MS + passed_ms


def test_what_other_processes_gave_is_below_all_the_same() -> None:
    ids = Ids()
    ids.ids.observe(first_id_at(BEGIN_MS + HOUR_MS))
    assert ids.next_ms() > HOUR_MS


@given(st.lists(st.tuples(st.integers(0, 20_000), st.integers(-HOUR_MS, HOUR_MS), st.booleans()), max_size=30))
def test_ids_grow_whatever_the_clock_does(steps: list[tuple[int, int, bool]]) -> None:
    ids, last = Ids(), 0
    for passed_ms, ids.off_ms, is_confirmed in steps:
        ids.passed_ms += passed_ms
        if is_confirmed:
            ids.ids.confirm()
        given = ids.ids.next(ids.wall_ms())
        assert given > last
        last = given
