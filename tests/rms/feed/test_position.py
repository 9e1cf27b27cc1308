"""rms/feed/position.py: the text of a position, the sliding window, and solving for what a viewer lacks."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from history.core.ids import first_id_at
from rms.feed.position import (
    WINDOW_MS,
    InvalidPosition,
    Position,
    Window,
    in_window,
    missing,
    mix,
    parse_position,
    window_floor,
)
from tests.rms.parts import T0

some_ids = st.integers(first_id_at(T0), first_id_at(T0 + 3 * WINDOW_MS))


@given(st.integers(0, 2**63 - 1), st.integers(0, 9_999_999), st.integers(0, 2**48 - 1))
def test_text_and_back(high: int, count: int, digest: int) -> None:
    position = Position(high, count, digest)
    assert parse_position(str(position)) == position


def test_a_bare_comment_id_is_a_position_with_an_unknown_window() -> None:
    assert parse_position("018f3c4e5a6b7c8d") == Position(0x018F3C4E5A6B7C8D, 0, 0)


@pytest.mark.parametrize(
    "text", ["", "5", "x" * 16, "018f3c4e5a6b7c8d.1", "018f3c4e5a6b7c8d.-1.0", "f" * 16, "\n", "é"]
)
def test_what_is_no_position_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(InvalidPosition, match="Last-Event-ID"):
        parse_position(text)


@given(st.text())
def test_any_text_is_a_position_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidPosition):
        parse_position(text)


@given(st.lists(some_ids, unique=True, min_size=1), st.randoms())
def test_the_window_counts_what_lies_within_it(ids: list[int], random: object) -> None:
    window = Window()
    ever: list[int] = []
    for comment_id in ids:
        window.add(comment_id)
        ever.append(comment_id)
        position = window.position()
        assert position is not None
        assert position.high == max(ever)
        inside = {c for c in ever if window_floor(position.high) <= c}
        # what was late by more than a window when it came is not in there
        assert position.count <= len(inside)
        if all(c >= window_floor(max(ever[: i + 1])) for i, c in enumerate(ever)):
            assert position.count == len(inside)
            digest = 0
            for c in inside:
                digest ^= mix(c)
            assert position.digest == digest


@given(st.sets(some_ids, min_size=1, max_size=60))
def test_order_within_the_window_does_not_matter(ids: set[int]) -> None:
    high = max(ids)
    near = sorted(c for c in ids if c >= window_floor(high))
    forward, backward = Window(), Window()
    for c in near:
        forward.add(c)
    for c in reversed(near):
        backward.add(c)
    assert forward.position() == backward.position()


def test_a_window_that_reaches_behind_what_is_known_is_not_exact() -> None:
    window = Window(complete_from=first_id_at(T0))
    window.add(first_id_at(T0 + WINDOW_MS - 1))
    assert (position := window.position()) is not None
    assert position.count == 0
    window.add(first_id_at(T0 + WINDOW_MS))
    assert (position := window.position()) is not None
    assert position.count == 2


@given(st.sets(some_ids, min_size=1, max_size=200), st.data())
def test_up_to_two_missing_ids_are_found(ids: set[int], data: st.DataObject) -> None:
    high = max(ids)
    known = list(in_window(sorted(ids), high))
    lacks = data.draw(st.sets(st.sampled_from(known), max_size=min(4, len(known) - 1)))
    window = Window()
    for c in known:
        if c not in lacks:
            window.add(c)
    position = window.position()
    assert position is not None
    # as another node would have reported it: its own high may be one that lies below
    found = missing(in_window(known, position.high), Position(position.high, position.count, position.digest))
    below = {c for c in lacks if c < position.high}
    visible = {c for c in known if c >= window_floor(position.high)}
    if len(below) <= 2 and visible == set(known):
        assert found == sorted(below)
    elif len(below) > 2:
        assert found is None


def test_a_set_that_is_not_contained_is_not_solved() -> None:
    ids = [first_id_at(T0) + n for n in range(5)]
    window = Window()
    for c in (ids[0], ids[1], ids[4]):
        window.add(c)
    assert (position := window.position()) is not None
    assert missing([ids[0], ids[2], ids[4]], position) is None  # as many, but others
    assert missing([ids[0], ids[2], ids[3], ids[4]], position) is None
    assert missing([ids[4]], position) is None
