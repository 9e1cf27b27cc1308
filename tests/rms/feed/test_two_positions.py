"""rms/feed/two_positions.py: what a viewer has that has both, and what it has beyond the other"""

from hypothesis import given
from hypothesis import strategies as st

from history.core.ids import first_id_at
from rms.feed.position import SURE_STEP_MS, Had, Position
from rms.feed.two_positions import beyond, merged
from tests.rms.feed.test_position import chains, new_had
from tests.rms.feed.test_position_exact import T
from tests.rms.feed.test_position_exact import an_id as exact_id
from tests.rms.feed.test_position_exact import position as exact


@given(chains(), st.integers(0, 40), st.integers(0, 40))
def test_merged_is_what_either_has(arrivals: list[tuple[int, int]], first: int, second: int) -> None:
    one, other = new_had(), new_had()
    for event_id, after_id in arrivals[:first]:
        one.add(event_id, after_id)
    for event_id, after_id in arrivals[len(arrivals) - min(second, len(arrivals)) :]:
        other.add(event_id, after_id)
    both = merged(one.position(), other.position()).claims()
    for event_id, _ in arrivals:
        either = one.position().claims().cover(event_id) or other.position().claims().cover(event_id)
        assert both.cover(event_id) == either


def test_merged_claims_end_where_either_ends() -> None:
    one = exact(exact_id(5, 1), exact_id(9, 2), islands=((exact_id(20, 1), exact_id(30, 1)),), sure_ms=8 * SURE_STEP_MS)
    other = Position(
        first_id_at(T + 3), (exact_id(8, 3),), ((exact_id(6, 1), exact_id(25, 1)), (exact_id(50, 2), exact_id(60, 2)))
    )
    expected = Position(
        first_id_at(T + 3),
        (exact_id(5, 1), exact_id(9, 2), exact_id(8, 3)),
        ((exact_id(6, 1), exact_id(30, 1)), (exact_id(50, 2), exact_id(60, 2))),
        8 * SURE_STEP_MS,
    )
    for both in (merged(one, other), merged(other, one)):
        assert both == expected
    assert merged(exact(), exact()).sure_ms is None


@given(chains(), st.integers(0, 40), st.integers(0, 40))
def test_what_is_beyond_and_what_was_had_together_are_all(
    arrivals: list[tuple[int, int]], first: int, second: int
) -> None:
    viewer, feed = new_had(), Had(new_had().position().floor >> 16)
    for event_id, after_id in arrivals[:first]:
        viewer.add(event_id, after_id)
    for event_id, after_id in arrivals[len(arrivals) - min(second, len(arrivals)) :]:
        feed.add(event_id, after_id)
    position = viewer.position()
    rest = beyond(position, feed)
    for event_id, _ in arrivals:
        if rest.claims().cover(event_id):
            assert position.claims().cover(event_id), "it claims no more than it did"
        if position.claims().cover(event_id):
            assert rest.claims().cover(event_id) or feed.position().claims().cover(event_id)
    assert beyond(rest, feed) == rest


def test_what_was_had_is_no_difference() -> None:
    feed = Had(T)
    feed.add(exact_id(20), exact_id(9))
    feed.add(exact_id(30), exact_id(20))
    for top in (20, 25, 30):
        assert beyond(exact(exact_id(top), sure_ms=5), feed) == exact(exact_id(9), sure_ms=5)
    for top in (9, 31):
        assert beyond(exact(exact_id(top)), feed) == exact(exact_id(top)), "it was not had"
    assert beyond(exact(islands=((exact_id(15), exact_id(20)), (exact_id(40), exact_id(41)))), feed) == exact(
        islands=((exact_id(40), exact_id(41)),)
    )
    feed.add(exact_id(7, 2), exact_id(-3, 2))
    assert beyond(exact(exact_id(7, 2)), feed) == exact()
    feed.add(exact_id(30, 0), exact_id(0, 0))
    assert beyond(exact(exact_id(30, 0)), feed) == exact(exact_id(0, 0)), "what is at the floor is above what was had"
