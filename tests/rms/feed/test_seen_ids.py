"""rms/feed/seen_ids.py: what was added is known for its time, and then takes no room"""

from hypothesis import given
from hypothesis import strategies as st

from rms.feed.seen_ids import PARTS, SeenIds

KEEP_MS = 32_000
IDS = st.integers(1, 1 << 62)


@given(st.lists(st.tuples(IDS, st.integers(0, 5_000), IDS), max_size=60))
def test_nothing_is_forgotten_too_early_and_nothing_is_made_up(steps: list[tuple[int, int, int]]) -> None:
    now_ms, highest, seen, added = 0, 0, SeenIds(KEEP_MS, 0), dict[int, int]()
    for comment_id, wait_ms, old_below in steps:
        now_ms += wait_ms
        highest = max(highest, old_below)
        seen.add(comment_id, now_ms, old_below)
        added[comment_id] = now_ms
        for known, at_ms in added.items():
            age_ms = now_ms - at_ms
            if age_ms <= KEEP_MS or (known >= highest and age_ms <= 2 * KEEP_MS):
                assert known in seen
            assert (known + 1 in seen) <= (known + 1 in added)


def test_what_is_old_is_forgotten() -> None:
    seen = SeenIds(KEEP_MS, 0)
    for second in range(1_000):
        seen.add(second + 1, second * 1_000, 1 << 62)
        assert len(seen) <= KEEP_MS // 1_000 * (1 + 2 / PARTS) + 2
    assert 1 not in seen
    assert 1_000 in seen


def test_what_never_becomes_old_is_forgotten_in_the_end() -> None:
    seen = SeenIds(KEEP_MS, 0)
    for tenth in range(2_000):
        seen.add(tenth + 1, tenth * 100, 0)
        assert len(seen) <= (2 * PARTS + 2) * (KEEP_MS // PARTS // 100 + 1)
    assert 1 not in seen


def test_a_clock_that_is_set_makes_nothing_forgotten_that_may_come_again() -> None:
    seen = SeenIds(KEEP_MS, 0)
    for second in range(20):
        seen.add(second + 1, second * 1_000, 0)
    for now_ms in (3_600_000, 3_601_000, -3_600_000, -3_599_000):
        seen.add(100, now_ms, 1)
    assert all(second + 1 in seen for second in range(20))


def test_a_clock_that_was_set_back_fills_no_memory() -> None:
    seen = SeenIds(KEEP_MS, 3_600_000)
    for tenth in range(2_000):
        seen.add(tenth + 1, tenth * 100, tenth)
        assert len(seen) <= (2 * PARTS + 2) * (KEEP_MS // PARTS // 100 + 1)


def test_nothing_was_seen_yet() -> None:
    assert 0 not in SeenIds(KEEP_MS, 0)
    assert len(SeenIds(KEEP_MS, 0)) == 0


def test_each_id_is_known_for_its_time_to_the_end() -> None:
    """Each is old, and each part has one: none is forgotten along with the one before it."""
    step_ms = KEEP_MS // PARTS + 1
    seen = SeenIds(KEEP_MS, 0)
    for number in range(200):
        seen.add(number + 1, number * step_ms, 1 << 62)
        assert all(age * step_ms > KEEP_MS or number + 1 - age in seen for age in range(number + 1))


def test_what_never_becomes_old_is_known_for_twice_the_time() -> None:
    step_ms = KEEP_MS // PARTS + 1
    seen = SeenIds(KEEP_MS, 0)
    for number in range(200):
        seen.add(number + 1, number * step_ms, 0)
        assert all(age * step_ms > 2 * KEEP_MS or number + 1 - age in seen for age in range(number + 1))


def test_a_burst_is_remembered_whole() -> None:
    now_ms = 1_700_000_000_000
    seen = SeenIds(KEEP_MS, now_ms)
    for number in range(2_000):
        seen.add(number + 1, now_ms + number // 200, 1 << 62)
    assert all(number + 1 in seen for number in range(2_000))


def test_a_part_with_an_id_that_is_not_old_is_kept_whole() -> None:
    seen = SeenIds(KEEP_MS, 0)
    for event_id in (10, 20, 30):
        seen.add(event_id, 0, 0)
    later_ms = KEEP_MS + KEEP_MS // PARTS + 2
    seen.add(40, later_ms // 2, 30)
    seen.add(50, later_ms * 2, 30)
    assert all(event_id in seen for event_id in (10, 20, 30, 40, 50))
    seen.add(60, later_ms * 3, 31)
    assert [event_id in seen for event_id in (10, 20, 30, 40, 50, 60)] == [False, False, False, True, True, True]


def test_which_were_seen_from_an_id_on() -> None:
    seen = SeenIds(KEEP_MS, 0, (5, 7, 9))
    for event_id in (6, 8, 10):
        seen.add(event_id, 0, 0)
    assert sorted(seen.from_(7)) == [7, 8, 9, 10]
    assert sorted(seen.from_(8)) == [8, 9, 10]
    assert (sorted(seen.from_(0)), list(seen.from_(11))) == ([5, 6, 7, 8, 9, 10], [])
