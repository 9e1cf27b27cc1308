"""Holders of a node number: a later life takes it over from an earlier one, and nobody else does"""

from hypothesis import given
from hypothesis import strategies as st

from history.core.holder import Holder, may_replace

holders = st.builds(Holder, st.sampled_from(["", "a", "a.b", "a.1.c"]), st.integers(0, 3), st.sampled_from(["x", "y"]))


@given(holders, holders)
def test_of_two_lives_one_holds_the_number(one: Holder, other: Holder) -> None:
    assert Holder.parse(str(one)) == one
    replaces = may_replace(str(one), str(other))
    assert replaces == (one == other or (one.word == other.word and one.generation > other.generation))
    assert one == other or not (replaces and may_replace(str(other), str(one)))


def test_an_earlier_releases_holder_is_before_the_first_generation() -> None:
    assert may_replace("word.1.life", "word")
    assert not may_replace("word.1.life", "other")
    assert not may_replace("word", "word.1.life")
    assert may_replace("word.x.life", "word.x.life")
