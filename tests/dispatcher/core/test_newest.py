"""dispatcher/core/newest.py: the largest id of all services, without those of a clock that is off."""

from hypothesis import given
from hypothesis import strategies as st

from dispatcher.core.newest import Newest
from history.core.ids import first_id_at, time_of

NOW_MS = 1_700_000_000_000
AHEAD_MS = 5_000


def test_there_is_none_at_first() -> None:
    newest = Newest(AHEAD_MS)
    assert newest.id == 0
    newest.routed([], NOW_MS)
    assert newest.id == 0


def test_the_bound_itself_counts_and_what_is_beyond_it_does_not() -> None:
    newest = Newest(AHEAD_MS)
    last = first_id_at(NOW_MS + AHEAD_MS + 1) - 1
    newest.routed([last + 1], NOW_MS)
    assert newest.id == 0
    newest.routed([last + 1, last, 5], NOW_MS)
    assert newest.id == last


ids = st.integers(first_id_at(NOW_MS - 60_000), first_id_at(NOW_MS + 60_000))


@given(st.lists(st.tuples(st.lists(ids), st.integers(NOW_MS - 20_000, NOW_MS + 20_000))))
def test_it_is_the_largest_that_was_within_the_bound_when_it_came(batches: list[tuple[list[int], int]]) -> None:
    newest, expected = Newest(AHEAD_MS), 0
    for batch, wall_ms in batches:
        newest.routed(batch, wall_ms)
        expected = max([expected, *(each for each in batch if time_of(each) <= wall_ms + AHEAD_MS)])
        assert newest.id == expected
