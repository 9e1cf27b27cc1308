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
