"""proto/core/rates.py: nobody gets more than he may, nobody less, and memory is bounded"""

import itertools
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proto.core.rates import Rate, Shares, Turns

STEPS = st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 3, allow_subnormal=False)), max_size=60)


@given(STEPS, st.integers(1, 5), st.integers(1, 5))
def test_each_gets_its_rate_and_its_burst_and_no_more(steps: list[tuple[str, float]], per_s: int, burst: int) -> None:
    """In any window a key had at most burst + rate × seconds; and whoever waits as long as he is told may."""
    rate, now_s = Rate(per_s, burst, 100), 0.0
    had: dict[str, list[float]] = defaultdict(list)
    for key, pause_s in steps:
        now_s += pause_s
        is_used_up = rate.is_used_up(key, now_s)
        wait_s = rate.wait_s(key, now_s)
        assert is_used_up is (wait_s > 0), "and to look costs nothing"
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
    assert [rate.is_used_up(key, 0.0) for key in ("0", "12", "13")] == [False, True, True]
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


@given(st.lists(st.floats(0, 0.5, allow_subnormal=False), min_size=1, max_size=60), st.integers(1, 20))
def test_those_who_are_refused_come_in_turn(pauses_s: list[float], per_s: int) -> None:
    """In any second no more than the rate, and nobody after more than the longest wait"""
    turns, now_s, comes_s = Turns(per_s, 1_000.0), 0.0, []
    for pause_s in pauses_s:
        now_s += pause_s
        comes_s.append(now_s + turns.wait_s(now_s))
    assert all(later - earlier >= 1 / per_s - 1e-9 for earlier, later in itertools.pairwise(comes_s))
    turns = Turns(per_s, 1.0)
    waits_s = [turns.wait_s(5.0) for _ in range(10 * per_s)]
    assert all(0 < wait_s <= 1.0 for wait_s in waits_s)
    assert max(waits_s.count(wait_s) for wait_s in waits_s) <= 21
