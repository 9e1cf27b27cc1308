"""Ids: unique, ordered by time, and readable in 16 digits."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from history.core.ids import ID_MAX, NODES, IdSource, InvalidId, first_id_at, format_id, parse_id, time_of

ids = st.integers(0, ID_MAX)
clocks = st.lists(st.integers(1, 1 << 46), min_size=1, max_size=50)


@given(ids)
def test_written_and_read(comment_id: int) -> None:
    assert parse_id(format_id(comment_id)) == comment_id
    assert len(format_id(comment_id)) == 16


@given(ids, ids)
def test_text_has_the_order_of_the_numbers(one: int, other: int) -> None:
    assert (format_id(one) < format_id(other)) == (one < other)


@pytest.mark.parametrize(
    "text", ["", "018f", "8" + "0" * 15, "0" * 17, "018F3C4E5A6B7C8D", " 18f3c4e5a6b7c8d", "٠" * 16]
)
def test_what_is_no_id(text: str) -> None:
    with pytest.raises(InvalidId, match="16 lower-case hex digits"):
        parse_id(text)


@given(clocks, st.integers(0, NODES - 1))
def test_ids_only_grow_whatever_the_clock_does(clock: list[int], node: int) -> None:
    source = IdSource(node)
    given_ids = [source.next(now_ms) for now_ms in clock]
    assert all(earlier < later for earlier, later in itertools.pairwise(given_ids))
    assert all(time_of(comment_id) >= now_ms for comment_id, now_ms in zip(given_ids, clock, strict=True))
    assert all(comment_id <= ID_MAX for comment_id in given_ids)


@given(clocks, st.lists(st.integers(0, NODES - 1), min_size=2, max_size=4, unique=True))
def test_nodes_never_give_the_same_id(clock: list[int], nodes: list[int]) -> None:
    sources = [IdSource(node) for node in nodes]
    given_ids = [source.next(now_ms) for now_ms in clock for source in sources]
    assert len(set(given_ids)) == len(given_ids)


@given(clocks, st.integers(0, 1 << 46))
def test_after_another_process_s_id_all_are_larger(clock: list[int], other_ms: int) -> None:
    source, other = IdSource(3), IdSource(9).next(other_ms)
    for now_ms in clock:
        source.next(now_ms)
    source.observe(other)
    given_ids = [source.next(now_ms) for now_ms in clock]
    assert all(other < each for each in given_ids)
    assert given_ids == sorted(set(given_ids))


def test_a_burst_runs_ahead_of_the_clock_by_a_millisecond_for_each_64() -> None:
    source = IdSource(3)
    given_ids = [source.next(1000) for _ in range(64 * 3 + 1)]
    assert len(set(given_ids)) == len(given_ids)
    assert time_of(given_ids[63]) == 1000
    assert time_of(given_ids[64]) == 1001
    assert time_of(given_ids[-1]) == 1003
    assert time_of(source.next(2000)) == 2000


@given(st.integers(1, 1 << 46), st.integers(0, NODES - 1))
def test_first_id_of_a_millisecond(now_ms: int, node: int) -> None:
    comment_id = IdSource(node).next(now_ms)
    assert first_id_at(now_ms) <= comment_id < first_id_at(now_ms + 1)
    assert first_id_at(-5) == 0


@pytest.mark.parametrize("node", [-1, NODES])
def test_node_numbers_out_of_range(node: int) -> None:
    with pytest.raises(ValueError, match="0 to 1023"):
        IdSource(node)


def test_the_layout_of_an_id() -> None:
    """Golden: stores, files, clients' positions and cursors hold such ids."""
    source = IdSource(0x2A7)
    assert [format_id(source.next(0x018F_3C4E_5A6B)) for _ in range(2)] == ["018f3c4e5a6ba9c0", "018f3c4e5a6ba9c1"]
    source.observe(0x018F_3C4E_5A6C_0000)
    assert format_id(source.next(0x018F_3C4E_5A6B)) == "018f3c4e5a6da9c0"
    assert (time_of(0x018F_3C4E_5A6B_A9C1), first_id_at(0x018F_3C4E_5A6B)) == (0x018F_3C4E_5A6B, 0x018F_3C4E_5A6B_0000)
    assert (parse_id("7fffffffffffffff"), ID_MAX) == (2**63 - 1, 2**63 - 1)


def test_each_millisecond_has_64_ids() -> None:
    source = IdSource(3)
    assert [source.next(1000) for _ in range(200)] == [
        (1000 + number // 64) << 16 | 3 << 6 | number % 64 for number in range(200)
    ]
