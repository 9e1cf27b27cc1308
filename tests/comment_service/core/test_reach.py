"""comment_service/core/reach.py: which replica is better than the one in use, and that none is left without need"""

from hypothesis import given
from hypothesis import strategies as st

from comment_service.core.reach import Nodes, Reach

LOOKS = st.lists(st.dictionaries(st.sampled_from("abc"), st.none() | st.integers(0, 3)), max_size=6)


def after(*looks: Nodes) -> list[str | None]:
    """What each look says, while a is used"""
    reach = Reach("a")
    return [reach.better(nodes) for nodes in looks]


def test_one_that_has_more_nodes_twice_is_better() -> None:
    assert after({"a": 2, "b": 3}, {"a": 2, "b": 3}) == [None, "b"]


def test_once_is_not_enough() -> None:
    assert after({"a": 2, "b": 3}, {"a": 3, "b": 3}, {"a": 2, "b": 3}) == [None, None, None]


def test_another_each_time_is_not_enough() -> None:
    assert after({"a": 2, "b": 3, "c": 2}, {"a": 2, "b": 2, "c": 3}) == [None, None]


def test_the_one_with_most_nodes_is_best() -> None:
    assert after(*[{"a": 1, "b": 2, "c": 3}] * 2) == [None, "c"]


def test_one_that_answers_is_better_than_one_that_does_not() -> None:
    assert after({"b": 3}, {"b": 3}) == [None, "b"]
    assert after({"b": None}, {"b": None}) == [None, "b"]


def test_one_without_nodes_is_no_better_than_one_that_does_not_answer() -> None:
    assert after({"b": 0}, {"b": 0}) == [None, None]


def test_a_version_that_tells_nothing_is_neither_better_nor_worse() -> None:
    assert after({"a": None, "b": 3}, {"a": None, "b": 3}) == [None, None]
    assert after({"a": 1, "b": None}, {"a": 1, "b": None}) == [None, None]


@given(LOOKS)
def test_after_a_change_the_next_look_never_goes_back(looks: list[dict[str, int | None]]) -> None:
    """However the looks go on: two that show the same are followed by no second change."""
    reach = Reach("a")
    for nodes in looks:
        other = reach.better(nodes)
        if other is not None:
            assert other != "a"
            assert Reach(other).better(nodes) is None
            there = Reach(other)
            there.better(nodes)
            again = there.better(nodes)
            assert again != "a"


def test_the_words_say_which_link_is_at_fault() -> None:
    reach = Reach("a")
    assert reach.words("b", {"b": 3}) == "its link is slow: b answers, and it doesn't"
    assert reach.words("b", {"a": 1, "b": 3}) == "nodes can't reach it: it has 1 of them, and b has 3"
