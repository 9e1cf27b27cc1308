"""Runs and their ends, beside plain sorted lists"""

from hypothesis import given, settings
from hypothesis import strategies as st

from history.core.runs import END, Highs, Run
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
