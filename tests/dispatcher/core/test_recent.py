"""dispatcher/core/recent.py: the smallest id published since any second, against a list that remembers everything."""

from hypothesis import given
from hypothesis import strategies as st

from dispatcher.core.recent import ID_TIME_SHIFT, Recent

START_MS = 1_700_000_000_000
SPAN_S = 10

publishes = st.lists(st.tuples(st.integers(0, 4000), st.integers(1, 1000)), max_size=30)


@given(publishes, st.integers(-5000, 60_000))
def test_answers_as_one_who_remembers_everything(steps: list[tuple[int, int]], since_ms: int) -> None:
    recent = Recent(SPAN_S, START_MS)
    now_ms = START_MS
    remembered = []
    for wait_ms, smallest_id in steps:
        now_ms += wait_ms
        recent.published(smallest_id, now_ms)
        remembered.append((now_ms // 1000, smallest_id))
    oldest_s = now_ms // 1000 - SPAN_S + 1
    since_s = max((START_MS + since_ms) // 1000, START_MS // 1000)
    expected = [smallest for second, smallest in remembered if second >= max(since_s, oldest_s)]
    if since_s < oldest_s:
        expected.append(oldest_s * 1000 << ID_TIME_SHIFT)
    assert recent.smallest_since(START_MS + since_ms, now_ms) == min(expected, default=0)


def test_nothing_published_is_zero() -> None:
    assert Recent(SPAN_S, START_MS).smallest_since(START_MS, START_MS + 3000) == 0


def test_what_is_older_than_the_ring_begins_where_the_ring_begins() -> None:
    recent = Recent(SPAN_S, START_MS)
    recent.published(7, START_MS)
    now_ms = START_MS + 60_000
    assert recent.smallest_since(START_MS, now_ms) >> ID_TIME_SHIFT == now_ms - (SPAN_S - 1) * 1000


def test_a_late_id_counts_in_the_second_in_which_it_came() -> None:
    recent = Recent(SPAN_S, START_MS)
    recent.published(500, START_MS + 1000)
    recent.published(3, START_MS + 5000)
    assert recent.smallest_since(START_MS + 4000, START_MS + 6000) == 3
    assert recent.smallest_since(START_MS + 6000, START_MS + 6000) == 0


def test_a_long_pause_empties_the_ring_at_once() -> None:
    recent = Recent(SPAN_S, START_MS)
    recent.published(3, START_MS)
    later_ms = START_MS + 10**9
    assert recent.smallest_since(later_ms, later_ms) == 0
