"""proto/core/rates.py: nobody gets more than he may, nobody less, and memory is bounded"""

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proto.core.rates import Rate, Shares

STEPS = st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 3, allow_subnormal=False)), max_size=60)


@given(STEPS, st.integers(1, 5), st.integers(1, 5))
def test_each_gets_its_rate_and_its_burst_and_no_more(steps: list[tuple[str, float]], per_s: int, burst: int) -> None:
    """In any window a key had at most burst + rate × seconds; and whoever waits as long as he is told may."""
    rate, now_s = Rate(per_s, burst, 100), 0.0
    had: dict[str, list[float]] = defaultdict(list)
    for key, pause_s in steps:
        now_s += pause_s
        wait_s = rate.wait_s(key, now_s)
        if wait_s:
            assert rate.wait_s(key, now_s + wait_s * 0.99 - 1e-6) > 0
            now_s += wait_s
            assert rate.wait_s(key, now_s) == 0
        had[key].append(now_s)
        times = had[key]
        for first in range(len(times)):
            assert len(times) - first <= burst + per_s * (now_s - times[first]) + 1e-6


def test_a_large_cost_passes_and_is_paid_afterwards() -> None:
    rate = Rate(10, 100, 10)
    assert rate.wait_s("a", 0.0, cost=500) == 0
    assert rate.wait_s("a", 0.0) == pytest.approx(40.1)
    assert rate.wait_s("a", 40.2) == 0


def test_what_can_t_be_refused_is_paid_within_a_burst_s_time() -> None:
    rate = Rate(10, 100, 10)
    assert rate.use("a", 0.0, cost=50)
    assert rate.wait_s("a", 0.0, cost=50) == 0
    assert rate.use("a", 0.0, cost=10**18)
    assert not rate.use("a", 0.0, cost=10**18)
    assert rate.wait_s("a", 0.0) == pytest.approx(10.1)
    assert rate.wait_s("b", 0.0) == 0
    assert rate.wait_s("b", 20.0) == 0
    assert len(rate) == 1


def test_a_million_keys_take_the_room_of_a_few_and_those_beyond_share() -> None:
    rate = Rate(1, 2, 10)
    assert all(rate.wait_s(str(n), 0.0) == 0 for n in range(12))
    assert [rate.wait_s(str(n), 0.0) > 0 for n in range(12, 15)] == [True, True, True]
    assert len(rate) == 11
    assert rate.wait_s("3", 0.0) == 0  # who was here before keeps its own
    assert rate.wait_s("new", 100.0) == 0
    assert len(rate) == 1


@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans()), max_size=50))
def test_shares_are_what_was_taken_and_not_freed(steps: list[tuple[str, bool]]) -> None:
    shares, held = Shares(3), {"a": 0, "b": 0}
    for key, takes in steps:
        if takes:
            assert shares.take(key) is (held[key] < 3)
            held[key] = min(3, held[key] + 1)
        elif held[key]:
            shares.free(key)
            held[key] -= 1
    assert len(shares) == sum(count > 0 for count in held.values())
