"""Runs and their ends, beside plain sorted lists"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from history.core.ids import ID_MAX, first_id_at
from history.core.model import Author, Comment
from history.core.runs import COMMENT_BYTES, END, Highs, Run, Validity
from tests.history.comments import a_comment

ids = st.lists(st.integers(1, 60), unique=True, max_size=20)
moderate = settings(max_examples=100, deadline=None)


def a_run(numbers: list[int], low: int = 0, high: int = END) -> Run:
    run = Run(low, high, [])
    for number in numbers:
        assert run.add(a_comment(number))
        assert not run.add(a_comment(number))
    return run


@moderate
@given(ids, st.integers(0, 62), st.integers(0, 62), st.integers(0, 9))
def test_a_run_holds_its_comments_newest_first(numbers: list[int], border: int, before: int, limit: int) -> None:
    run = a_run(numbers)
    newest_first = sorted(numbers, reverse=True)
    assert [each.id for each in run.before(before, limit)] == [n for n in newest_first if n < before][:limit]
    parts = run.split(border)
    assert [each for part in reversed(parts) for each in part.comments] == run.comments
    assert all(part.low <= each.id < part.high for part in parts for each in part.comments)
    assert (parts[0].low, parts[-1].high) == (0, END)
    size = run.size
    run.evict(set(numbers[:3]))
    assert [each.id for each in run.comments] == [n for n in newest_first if n not in numbers[:3]]
    assert run.size < size or not numbers
    assert run.size == Run(0, END, run.comments).size


def test_a_run_takes_only_its_own() -> None:
    run = a_run([], low=10, high=20)
    assert [run.add(a_comment(number)) for number in (9, 10, 19, 20)] == [False, True, True, False]


def test_what_was_made_of_a_run_is_valid_until_it_changes() -> None:
    run = a_run([1, 2, 3])
    assert run.validity.until_s == 0  # not kept
    run.keep_until(10)
    for change in (
        lambda: run.add(a_comment(4)),
        lambda: run.evict({2}),
        lambda: run.keep_until(20),
    ):
        validity = run.validity
        assert validity.until_s == 10
        change()
        assert validity.until_s == 0
    assert run.validity.until_s == 20
    validity = run.validity
    run.add(a_comment(4))
    run.evict({2, 99})  # nothing has changed
    assert run.validity is validity


def test_what_was_not_whole_says_so_in_each_part() -> None:
    for is_whole in (True, False):
        for part in Run(0, END, [a_comment(5), a_comment(3)], is_whole).split(4):
            part.keep_until(10)
            assert part.validity.is_whole is is_whole


@moderate
@given(ids, ids, st.integers(0, 62), st.integers(0, 62))
def test_ends_are_found(added: list[int], removed: list[int], low: int, high: int) -> None:
    highs = Highs()
    for end in added + added:
        highs.add(end)
    for end in removed:
        highs.remove(end)
    left = sorted(set(added) - set(removed))
    assert list(highs) == left
    assert len(highs) == len(left)
    assert highs.at_or_above(low) == next((end for end in left if end >= low), None)
    assert highs.within(low, high) == [end for end in left if low < end <= high]


def test_what_a_comment_takes() -> None:
    one = Comment(1, "v", Author("ann@x", "Ann"), "hello, you", 1)
    assert Run(0, END, [one]).size - Run(0, END, []).size == COMMENT_BYTES + 4 * 10 + 3 + 5


def test_a_run_begins_whole_and_not_kept() -> None:
    run = Run(0, END, [])
    assert (run.is_whole, run.read_ms, run.validity) == (True, 0, Validity(0, True))
    assert Validity(1).is_whole


@pytest.mark.parametrize(
    ("before", "above_ms", "serves"),
    [
        (END, None, True),
        (END + 1, 7_000, True),
        (first_id_at(2_000), None, True),
        (first_id_at(2_001), None, False),
        (first_id_at(2_001), 5_000, True),
        (first_id_at(2_001), 4_999, True),
        (first_id_at(2_001), 5_001, False),
        (first_id_at(2_000), 5_001, True),
    ],
)
def test_a_run_serves_those_who_skip_nothing_in_it(before: int, above_ms: int | None, serves: bool) -> None:
    """It was read at 5,000 ms, and comments are settled after 3,000."""
    above = None if above_ms is None else Run(0, END, [], read_ms=above_ms)
    assert Run(0, END, [], read_ms=5_000).serves(before, above, 3_000) is serves


def test_a_run_leaves_what_is_below_to_another() -> None:
    run = a_run([1, 2, 3])
    run.keep_until(10)
    validity = run.validity
    run.raise_low(2)
    assert ([each.id for each in run.comments], run.low, validity.until_s) == ([3, 2], 2, 0)
    assert not run.add(a_comment(1))


def test_an_author_s_comments_go_up_to_an_id() -> None:
    def by(author_id: str, number: int) -> Comment:
        return Comment(number, "v", Author(author_id, author_id), "hi", number)

    run = Run(0, END, [by("ann", 4), by("ann", 3), by("ben", 2), by("ann", 1)])
    run.evict_author("ann", 3)
    assert [each.id for each in run.comments] == [4, 2]


def test_a_border_at_an_end_splits_nothing() -> None:
    run = a_run([5], low=2, high=9)
    for border in (1, 2, 9, 10):
        assert run.split(border)[0] is run
    assert [(part.low, part.high) for part in run.split(3)] == [(2, 3), (3, 9)]
    assert [(part.low, part.high) for part in run.split(8)] == [(2, 8), (8, 9)]


def test_above_every_id_is_the_end() -> None:
    assert END == ID_MAX + 1
