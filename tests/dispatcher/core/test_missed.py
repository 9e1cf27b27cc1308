"""dispatcher/core/missed.py: since when a node was away, by the replica's own record; and the smallest id published
since any second, against a list that remembers everything."""

from hypothesis import given
from hypothesis import strategies as st

from dispatcher.core.missed import ID_TIME_SHIFT, Missed, Recent

START_MS = 1_700_000_000_000
SPAN_S = 10

publishes = st.lists(st.tuples(st.integers(0, 4000), st.integers(1, 1000)), max_size=30)


def missed(gone_max: int = 2) -> Missed:
    return Missed(recent_s=60, lease_ms=2000, beat_ms=500, gone_max=gone_max, ids_behind_ms=10_000, started_ms=START_MS)


def test_the_same_incarnation_has_missed_what_came_since_it_left() -> None:
    memory = missed()
    memory.left("rms-1", 7, START_MS + 5000)
    assert memory.came("rms-1", 7) == START_MS + 5000


def test_another_incarnation_or_a_stranger_has_missed_all_since_the_start() -> None:
    memory = missed()
    memory.left("rms-1", 7, START_MS + 5000)
    assert memory.came("rms-1", 8) == START_MS
    assert memory.came("rms-2", 1) == START_MS


def test_one_beat_is_read_to_spare() -> None:
    memory = missed()
    memory.published(5, START_MS + 9600)
    assert memory.catch_up_from(START_MS + 10_400, START_MS + 12_000) == 5
    assert memory.catch_up_from(START_MS + 10_600, START_MS + 12_000) is None


def test_what_an_earlier_life_answered_for_is_read_from_the_silence_on() -> None:
    memory = missed()
    from_ms = START_MS - 1500 - 500 - 10_000
    assert memory.catch_up_from(START_MS - 1500, START_MS + 500) == from_ms << ID_TIME_SHIFT
    memory.published(9 << ID_TIME_SHIFT, START_MS + 600)
    assert memory.catch_up_from(START_MS - 1500, START_MS + 700) == 9 << ID_TIME_SHIFT, "a late one is smaller"


def test_an_earlier_life_that_had_not_given_the_node_up_left_nothing() -> None:
    assert missed().catch_up_from(START_MS - 1000, START_MS + 999) is None


def test_nothing_is_read_from_before_the_ring_begins() -> None:
    now_ms = START_MS + 1000
    assert missed().catch_up_from(START_MS - 200_000, now_ms) == now_ms - 60_000 << ID_TIME_SHIFT


def test_too_many_and_those_of_long_ago_are_purged() -> None:
    memory = missed()
    for number in range(3):
        memory.left(f"rms-{number}", 1, START_MS + number)
    memory.purge(START_MS + 10)
    assert len(memory) == 2
    assert memory.came("rms-0", 1) == START_MS
    memory.purge(START_MS + 60_002)
    assert len(memory) == 1


@given(publishes, st.integers(-5000, 60_000))
def test_recent_is_as_one_who_remembers_everything(steps: list[tuple[int, int]], since_ms: int) -> None:
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
    assert recent.smallest_since(START_MS + since_ms, now_ms) == min(expected, default=None)


def test_nothing_published_is_none() -> None:
    assert Recent(SPAN_S, START_MS).smallest_since(START_MS, START_MS + 3000) is None


def test_what_is_older_than_the_ring_begins_where_the_ring_begins() -> None:
    recent = Recent(SPAN_S, START_MS)
    recent.published(7, START_MS)
    now_ms = START_MS + 60_000
    from_id = recent.smallest_since(START_MS, now_ms)
    assert from_id is not None
    assert from_id >> ID_TIME_SHIFT == now_ms - (SPAN_S - 1) * 1000


def test_a_late_id_counts_in_the_second_in_which_it_came() -> None:
    recent = Recent(SPAN_S, START_MS)
    recent.published(500, START_MS + 1000)
    recent.published(3, START_MS + 5000)
    assert recent.smallest_since(START_MS + 4000, START_MS + 6000) == 3
    assert recent.smallest_since(START_MS + 6000, START_MS + 6000) is None


def test_a_long_pause_empties_the_ring_at_once() -> None:
    recent = Recent(SPAN_S, START_MS)
    recent.published(3, START_MS)
    later_ms = START_MS + 10**9
    assert recent.smallest_since(later_ms, later_ms) is None


def test_ids_begin_with_the_time_above_16_bits() -> None:
    assert missed().catch_up_from(START_MS - 200_000, START_MS + 1000) == (START_MS - 59_000) * 65_536


def test_nothing_is_missed_before_the_ring_has_begun() -> None:
    assert Recent(SPAN_S, START_MS).smallest_since(START_MS - 50_000, START_MS + 2000) is None
    assert missed().catch_up_from(START_MS, START_MS + 5000) is None, "it was here when this life began"


def test_each_second_of_the_ring_is_its_own() -> None:
    recent = Recent(3, START_MS)
    recent.published(5, START_MS)
    assert recent.smallest_since(START_MS, START_MS + 2000) == 5, "the oldest one"
    assert recent.smallest_since(START_MS + 1000, START_MS + 2000) is None
    recent.published(7, START_MS + 1000)
    recent.published(8, START_MS + 2000)
    assert recent.smallest_since(START_MS + 8000, START_MS + 10_000) is None, "all three are over"
