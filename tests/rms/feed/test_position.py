"""rms/feed/position.py: a position claims what was had, no more and no less, and survives being a text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from history.core.ids import first_id_at, format_id, time_of
from rms.feed.position import (
    ISLANDS_MAX,
    KEPT_MS,
    LATE_MS,
    REACH_MS,
    TEXT_BYTES_MAX,
    TOPS_MAX,
    Had,
    InvalidPosition,
    Position,
    parse_position,
    service_of,
)
from tests.rms.parts import T0


def an_id(ms: int, service: int = 1, sequence: int = 0) -> int:
    return first_id_at(T0 + ms) | service << 6 | sequence


def new_had(base_ms: int = 0) -> Had:
    return Had(T0 - 60_000, an_id(base_ms, 0))


@st.composite
def chains(draw: st.DrawFn) -> list[tuple[int, int]]:
    """The events of some services as (id, after), in any order of arrival"""
    arrivals = []
    for service in range(draw(st.integers(1, 4))):
        last = an_id(-1, service)
        for step in draw(st.lists(st.integers(1, 90_000), min_size=1, max_size=8)):
            event_id = an_id(time_of(last) - T0 + step, service, draw(st.integers(0, 63)))
            arrivals.append((event_id, last))
            last = event_id
    return draw(st.permutations(arrivals))


@given(chains(), st.integers(0, 40))
def test_it_covers_exactly_what_was_had(arrivals: list[tuple[int, int]], count: int) -> None:
    had = new_had()
    for event_id, after_id in arrivals[:count]:
        had.add(event_id, after_id)
    claims = had.position().claims()
    claimed = {event_id for event_id, _ in arrivals if claims.cover(event_id)}
    assert claimed <= {event_id for event_id, _ in arrivals[:count]}
    if len(had.position().islands) < ISLANDS_MAX:
        assert claimed == {event_id for event_id, _ in arrivals[:count]}
    if count >= len(arrivals):
        assert had.position().islands == ()


@given(st.lists(st.tuples(st.integers(1, 2), st.integers(1, 9), st.integers(0, 9)), max_size=20))
def test_islands_cover_what_lies_in_them(drawn: list[tuple[int, int, int]]) -> None:
    islands, at = [], 0
    for service, behind, wide in drawn:
        islands.append((an_id(at + behind, service), an_id(at + behind + wide, service)))
        at += behind + wide
    claims = Position(an_id(-5, 0), (), tuple(islands)).claims()
    for service in (1, 2):
        for ms in range(at + 2):
            event_id = an_id(ms, service)
            here = any(low <= event_id <= high and service_of(low) == service for low, high in islands)
            assert claims.cover(event_id) == here


@given(chains(), st.integers(0, 40), st.one_of(st.none(), st.integers(0, 1_000)))
def test_a_position_is_the_same_after_being_a_text(
    arrivals: list[tuple[int, int]], count: int, sure_s: int | None
) -> None:
    had = new_had()
    for event_id, after_id in arrivals[:count]:
        had.add(event_id, after_id)
    had.sure_ms = None if sure_s is None else T0 // 4096 * 4096 + 4096 * sure_s
    had.changed()
    position = had.position()
    assert str(position) == had.text().decode()
    assert parse_position(str(position)) == position
    assert len(str(position)) <= TEXT_BYTES_MAX
    assert position.sure_ms == had.sure_ms


def test_lateness_between_services_means_nothing() -> None:
    had = new_had()
    had.add(an_id(90_000, 1), an_id(-5, 1))
    had.add(an_id(1_000, 2), an_id(-5, 2))  # 89 s later than the other's
    claims = had.position().claims()
    assert claims.cover(an_id(1_000, 2))
    assert not claims.cover(an_id(1_001, 2))
    assert not claims.cover(an_id(2_000, 3))


def test_one_service_takes_14_characters_and_100_take_608() -> None:
    had = new_had()
    for service in range(100):
        had.add(an_id(service, service), an_id(-5, service))
        assert len(had.text()) == 8 + 6 * (service + 1)


def test_however_many_services_there_are_the_text_is_bounded() -> None:
    had = new_had()
    for service in range(1_024):
        had.add(an_id(service * 100, service), an_id(-5, service))
    assert len(had.text()) <= 8 + 6 * TOPS_MAX
    assert had.position().claims().cover(an_id(102_300, 1_023))


def test_a_silent_service_loses_its_top_after_a_while() -> None:
    had = new_had()
    had.add(an_id(0, 1), an_id(-5, 1))
    for ms in range(0, 2 * KEPT_MS, 10_000):
        had.add(an_id(ms, 2), an_id(ms - 10_000, 2))
        had.advance(T0 + ms)
    position = had.position()
    assert [service_of(top) for top in position.tops] == [2]
    assert position.claims().cover(an_id(0, 1))


@given(st.integers(-3_600_000, 3_600_000), st.integers(-3_600_000, 3_600_000))
def test_no_single_clock_makes_the_newest_event_unwritable(node_ms: int, service_ms: int) -> None:
    had = new_had()
    for n in range(100):
        had.add(an_id(n * 10_000, 1), an_id((n - 1) * 10_000, 1))
        if abs(service_ms) < REACH_MS - KEPT_MS - 120_000:
            had.add(an_id(n * 10_000 + service_ms, 2), an_id((n - 1) * 10_000 + service_ms, 2))
        had.advance(T0 + n * 10_000 + node_ms)
    assert had.position().claims().cover(an_id(990_000, 1))
    assert not had.position().claims().cover(an_id(990_001, 1))


def test_what_is_older_than_late_ms_is_sure_unless_the_position_says_less() -> None:
    had = new_had()
    had.add(an_id(20_000), an_id(-5))
    assert time_of(had.position().sure_from) == T0 + 20_000 - LATE_MS
    had.sure_ms = T0
    had.changed()
    assert T0 - 4_096 < time_of(had.position().sure_from) <= T0
    had.sure_ms = None
    had.changed()
    had.add(an_id(40_000), an_id(30_000))
    assert time_of(had.position().sure_from) == T0 + 20_000, "there is a hole"


def test_a_bare_id_and_a_position_of_the_last_release_are_taken_for_that_event() -> None:
    for text in (format_id(an_id(0)), format_id(an_id(0)) + ".3.0123456789ab"):
        claims = parse_position(text).claims()
        assert claims.cover(an_id(0))
        assert claims.cover(an_id(-LATE_MS - 5_000, 7))
        assert not claims.cover(an_id(-1_000, 7))


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "AAAAAAA", "AAAAAAAA~AAAAAA", "AAAAAAAA!AAAAA", "AAAAAAAAé", "8" * 16, "________"),
        *("AAAAAAAA" + "BAAAAA" * 2, "AAAAAAAA" + "A" * 6 * 600),
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(InvalidPosition):
        parse_position(text)


@given(st.text(max_size=60))
def test_any_text_is_a_position_or_refused(text: str) -> None:
    try:
        position = parse_position(text)
    except InvalidPosition:
        return
    assert isinstance(position, Position)
    assert parse_position(str(position)).high >= 0
    assert position.sure_from <= max(position.high, position.floor)
