"""rms/sending/sweep_counts.py"""

from hypothesis import given
from hypothesis import strategies as st

from rms.sending.sweep_counts import SLICE_MS_BOUNDS, SLICE_SENDS_BOUNDS, SweepCounts


@given(st.lists(st.tuples(st.floats(0, 200), st.integers(0, 2_000))))
def test_every_slice_stands_in_one_bucket_below_its_bound(slices: list[tuple[float, int]]) -> None:
    counts = SweepCounts()
    for held_ms, sends in slices:
        counts.slice(held_ms, sends)
    frozen = counts.frozen(viewers=0, stalled=0, lag_bytes_max=0)
    assert frozen.slices == len(slices) == sum(frozen.slice_sends)
    assert frozen.slice_sends_sum == sum(sends for _, sends in slices)
    assert frozen.slice_ms_longest == max((held_ms for held_ms, _ in slices), default=0)
    for place, bound in enumerate(SLICE_MS_BOUNDS):
        assert sum(frozen.slice_ms[: place + 1]) == sum(held_ms <= bound for held_ms, _ in slices)
    for place, bound in enumerate(SLICE_SENDS_BOUNDS):
        assert sum(frozen.slice_sends[: place + 1]) == sum(sends <= bound for _, sends in slices)


def test_what_was_frozen_stays() -> None:
    counts = SweepCounts()
    counts.sent(10)
    counts.closes["left"] += 1
    frozen = counts.frozen(viewers=1, stalled=0, lag_bytes_max=0)
    counts.sent(5)
    counts.closes["left"] += 1
    assert (frozen.sends, frozen.bytes, frozen.closes) == (1, 10, {"left": 1})
