"""rms/feed/position.py: the last id that is claimed and the first that isn't; the limits of a text"""

import pytest

from history.core.ids import ID_MAX, first_id_at, format_id, time_of
from rms.feed.position import (
    ISLANDS_MAX,
    KEPT_MS,
    LATE_MS,
    REACH_MS,
    SURE_STEP_MS,
    TEXT_BYTES_MAX,
    TOPS_MAX,
    Had,
    InvalidPosition,
    Position,
    parse_position,
    service_of,
)

T = 1_700_000_000_000
FLOOR = first_id_at(T)


def an_id(ms: int, service: int = 1, sequence: int = 0) -> int:
    return T + ms << 16 | service << 6 | sequence


def position(*tops: int, islands: tuple[tuple[int, int], ...] = (), sure_ms: int | None = None) -> Position:
    return Position(FLOOR, tops, islands, sure_ms)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("AYvP5WgA", position()),
        ("AYvP5WgAAMAAFH", position(an_id(5, 3, 7))),
        (
            "AYvP5WgAAMAAFH_8APo_~AUAfQAAUAu4B!AYvP5X",
            position(
                *(an_id(5, 3, 7), an_id(1_000, 1_023, 63)),
                islands=((an_id(2_000, 5), an_id(3_000, 5, 1)),),
                sure_ms=0x18BCFE57 << 12,
            ),
        ),
        ("AYvP5WgAAAAAAA______", position(an_id(0, 0), an_id(REACH_MS - 1, 1_023, 63))),
    ],
)
def test_what_a_text_says(text: str, expected: Position) -> None:
    assert parse_position(text) == expected
    assert str(expected) == text


def test_the_service_that_gave_an_id() -> None:
    assert [service_of(an_id(0, service, 63)) for service in (0, 1, 512, 1_023)] == [0, 1, 512, 1_023]


def test_each_claim_ends_where_it_says() -> None:
    islands = ((an_id(20, 1), an_id(30, 1)), (an_id(40, 1), an_id(40, 1)), (an_id(20, 3), an_id(30, 3)))
    claims = position(an_id(5, 1, 7), an_id(9, 2), islands=islands).claims()
    covered = (
        *(0, FLOOR - 1, an_id(0, 1), an_id(5, 1, 7), an_id(9, 2), an_id(20, 1), an_id(25, 1, 3), an_id(30, 1)),
        *(an_id(40, 1), an_id(20, 3), an_id(30, 3), an_id(-1, 3, 63)),
    )
    assert all(claims.cover(event_id) for event_id in covered)
    open_ = (
        *(an_id(5, 1, 8), an_id(9, 2, 1), an_id(19, 1, 63), an_id(30, 1, 1), an_id(39, 1, 63), an_id(40, 1, 1)),
        *(FLOOR, an_id(0, 3), an_id(19, 3, 63), an_id(30, 3, 1), an_id(25, 2), an_id(20, 4)),
    )
    assert not any(claims.cover(event_id) for event_id in open_)


def test_the_highest_id_of_a_position() -> None:
    assert (position().high, Position(0).high) == (FLOOR, 0)
    assert position(an_id(5), an_id(3, 2)).high == an_id(5)
    assert position(an_id(5), islands=((an_id(7), an_id(9)),)).high == an_id(9)


def test_up_to_where_a_position_is_sure() -> None:
    assert position(an_id(20_000)).sure_from == first_id_at(T + 20_000 - LATE_MS)
    assert position(an_id(20_000), sure_ms=T + 5_000).sure_from == first_id_at(T + 5_000)
    assert position(an_id(20_000), sure_ms=T + 15_000).sure_from == first_id_at(T + 20_000 - LATE_MS)
    assert position(an_id(90_000), islands=((an_id(91_000), an_id(92_000)),)).sure_from == first_id_at(T + 82_000)
    assert position(an_id(1_000), islands=((an_id(91_000), an_id(92_000)),)).sure_from == an_id(1_000)
    assert position(islands=((an_id(91_000, 7), an_id(92_000, 7)),)).sure_from == FLOOR


def test_a_bare_id_claims_what_is_late_ms_older() -> None:
    assert parse_position(format_id(an_id(0, 3, 5))) == Position(first_id_at(T - LATE_MS), (an_id(0, 3, 5),))
    assert parse_position(format_id(7)) == Position(0, (7,))


def test_the_longest_text_is_taken_and_no_longer_one() -> None:
    tops = tuple(an_id(number, number) for number in range(TOPS_MAX))
    islands = tuple((an_id(1_000 + 2 * n, n), an_id(1_001 + 2 * n, n)) for n in range(ISLANDS_MAX))
    longest = position(*tops, islands=islands, sure_ms=T // SURE_STEP_MS * SURE_STEP_MS)
    text = str(longest)
    assert len(text) == TEXT_BYTES_MAX
    assert parse_position(text) == longest
    with pytest.raises(InvalidPosition):
        parse_position(text.replace("~", "AQAAAA~"))


def test_a_floor_that_leaves_no_room_for_ids_is_refused() -> None:
    last_ms = time_of(ID_MAX) - REACH_MS
    text = str(Position(first_id_at(last_ms)))
    assert parse_position(text).floor == first_id_at(last_ms)
    with pytest.raises(InvalidPosition):
        parse_position(str(Position(first_id_at(last_ms + 1))))


@pytest.mark.parametrize(
    "wrong",
    [
        position(an_id(1), an_id(2)),
        position(islands=((an_id(5), an_id(4)),)),
        position(islands=((an_id(4, 1), an_id(5, 2)),)),
    ],
)
def test_positions_that_nobody_has(wrong: Position) -> None:
    text = Had(T).text()
    pairs = [Had.of(position(top)).text()[8:] for top in wrong.tops]
    ends = [Had.of(position(end)).text()[8:] for island in wrong.islands for end in island]
    with pytest.raises(InvalidPosition):
        parse_position(b"".join((text, *pairs, b"~" if ends else b"", *ends)).decode())
    assert parse_position(b"".join((text, b"~", *([ends[0]] * 2 if ends else [pairs[0]] * 2))).decode())


def test_a_refusal_shows_the_beginning_of_the_text() -> None:
    with pytest.raises(InvalidPosition, match=f"^'{'x' * 80}' is no Last-Event-ID"):
        parse_position("x" * 81)


def had(base_ms: int = 0) -> Had:
    return Had(T - 60_000, an_id(base_ms, 0))


def test_a_chain_that_goes_on_and_one_that_does_not() -> None:
    one = had()
    assert one.high is None
    assert one.add(an_id(1), an_id(-5)) is None
    assert one.add(an_id(2), an_id(1)) is None
    assert one.position().tops == (an_id(2),)
    assert one.add(an_id(9), an_id(7)) == an_id(2) + 1, "one event of it is missing, at least"
    assert one.add(an_id(10), an_id(9)) is None, "that is known"
    assert one.position().islands == ((an_id(7, 1, 1), an_id(10)),)
    assert one.services_with_holes == [1]
    assert one.add(an_id(20), an_id(19)) == an_id(2) + 1, "another hole"
    assert one.add(an_id(7), an_id(2)) is None
    assert one.position().tops == (an_id(10),)
    assert one.add(an_id(19), an_id(10)) is None
    assert one.position() == Position(first_id_at(T - 60_000), (an_id(20),))
    assert one.high == an_id(20)


def test_what_was_had_begins_where() -> None:
    one = had()
    one.add(an_id(2), an_id(-5))
    one.add(an_id(9), an_id(7))
    begins = [one.begin_of(an_id(ms)) for ms in (0, 2, 7, 8, 9, 10)]
    assert begins == [0, 0, an_id(7), an_id(7, 1, 1), an_id(7, 1, 1), an_id(10)]


def test_a_base_counts_as_had() -> None:
    one = had(100)
    assert one.add(an_id(150), an_id(99, 1, 62)) is None, "no viewer waits for what is below"
    assert one.add(an_id(150, 2), an_id(100, 2)) == an_id(99, 2, 63) + 1
    one.begin_at(an_id(100, 3), 0)
    assert one.services_with_holes == []
    assert one.position().tops == (an_id(150), an_id(150, 2))
    other = had(100)
    assert other.add(an_id(150), an_id(20), hidden_from_id=an_id(50)) is None
    assert other.add(an_id(150, 2), an_id(60, 2), hidden_from_id=an_id(50)) == an_id(49, 2, 63) + 1


def test_a_claim_of_nothing_and_of_parts_of_a_millisecond() -> None:
    one = had()
    assert one.claim(1, an_id(5, 2), an_id(5, 0)) is None
    assert one.position().tops == ()
    assert one.claim(1, an_id(-2, 2), an_id(5, 0)) is None
    assert one.position().tops == (an_id(4, 1, 63),)
    assert one.claim(1, an_id(4, 2), an_id(5, 2)) is None
    assert one.position().tops == (an_id(5, 1, 63),)


def test_covers_up_to_the_last_id() -> None:
    one = had()
    one.add(an_id(2), an_id(-5))
    one.add(an_id(9), an_id(7))
    assert one.covers(position(an_id(2)), 0)
    assert not one.covers(position(an_id(2) + 1), 0)
    assert one.covers(position(an_id(3)), an_id(3) + 1), "it is asked for younger ones only"
    assert not one.covers(position(an_id(3)), an_id(3))
    assert one.covers(position(islands=((an_id(7) + 1, an_id(9)),)), 0)
    assert one.covers(position(islands=((an_id(1), an_id(2)),)), 0)
    assert not one.covers(position(islands=((an_id(7), an_id(9)),)), 0)
    assert not one.covers(position(islands=((an_id(8), an_id(9) + 1),)), 0)
    assert not one.covers(position(islands=((an_id(1), an_id(3)),)), an_id(3))
    assert one.covers(position(islands=((an_id(1), an_id(3)),)), an_id(3) + 1)


def test_the_first_event_may_lower_the_floor_and_no_other() -> None:
    one = Had(T)
    one.add(an_id(-5), an_id(-9))
    assert one.floor == first_id_at(T - 5 - KEPT_MS)
    other = Had(T)
    other.add(an_id(0), an_id(-9))
    other.add(an_id(-5, 2), an_id(-9, 2))
    assert other.floor == FLOOR
    assert Had(-5).floor == 0


def test_the_floor_follows_in_steps() -> None:
    one = Had(T, an_id(KEPT_MS))
    one.add(an_id(KEPT_MS), an_id(KEPT_MS - 1))
    one.advance(T + KEPT_MS * 11 // 10 - 1)
    assert one.floor == FLOOR
    one.add(an_id(KEPT_MS * 11 // 10), an_id(KEPT_MS))
    one.advance(T + KEPT_MS * 11 // 10)
    assert one.floor == first_id_at(T + KEPT_MS // 10)


def test_a_hole_and_what_a_node_is_not_sure_of_hold_the_floor_but_not_for_ever() -> None:
    def after(minutes: int, sure_ms: int | None = None, hole: bool = False) -> int:
        one = Had(T, FLOOR)
        one.sure_ms = sure_ms
        one.add(an_id(1), an_id(-5))
        if hole:
            one.add(an_id(10), an_id(8))
        for minute in range(1, minutes + 1):
            one.add(an_id(minute * 60_000, 2), an_id((minute - 1) * 60_000 or -5, 2))
            one.advance(T + minute * 60_000)
        return time_of(one.floor) - T

    assert after(14) >= 180_000
    assert after(14, sure_ms=T + 30_000) == after(14, hole=True) == 0
    assert after(18, sure_ms=T + 30_000) == 18 * 60_000 - REACH_MS + 2 * KEPT_MS // 10
    assert after(18, hole=True) == 18 * 60_000 - KEPT_MS, "the hole lies below the floor by then"


def test_more_services_than_a_text_holds_raise_the_floor_above_the_oldest() -> None:
    one = had()
    for service in range(TOPS_MAX):
        one.add(an_id(service, service), an_id(-5, service))
    assert len(one.position().tops) == TOPS_MAX
    one.add(an_id(TOPS_MAX, TOPS_MAX), an_id(-5, TOPS_MAX))
    assert one.floor == first_id_at(T + (TOPS_MAX + 1) // 4 + 1)
    assert [service_of(top) for top in one.position().tops] == list(range((TOPS_MAX + 1) // 4 + 1, TOPS_MAX + 1))


def test_more_islands_than_a_text_holds_are_not_claimed() -> None:
    one = had()
    for number in range(ISLANDS_MAX + 3):
        one.add(an_id(10 * number + 9), an_id(10 * number + 7))
    assert len(one.position().islands) == ISLANDS_MAX
    assert one.position().islands[0] == (an_id(7) + 1, an_id(9))


def test_a_claim_begins_at_the_service_s_own_first_id() -> None:
    for low, first in ((an_id(5, 1), an_id(5, 2)), (an_id(5, 2), an_id(5, 2)), (an_id(5, 3), an_id(6, 2))):
        one = had()
        assert one.claim(2, low, an_id(9, 2)) is not None
        assert one.position().islands == ((first, an_id(9, 2)),)


def test_islands_that_touch_are_one_and_others_stay() -> None:
    one = had()
    for low, high in ((an_id(10), an_id(11)), (an_id(20), an_id(21)), (an_id(21) + 1, an_id(25))):
        one.claim(1, low, high)
    assert one.position().islands == ((an_id(10), an_id(11)), (an_id(20), an_id(25)))
    one.claim(1, an_id(23), an_id(24))
    assert one.position().islands == ((an_id(10), an_id(11)), (an_id(20), an_id(25)))


def test_what_is_out_of_reach_is_claimed_as_less() -> None:
    far = position(an_id(REACH_MS + 5, 1, 3), islands=((an_id(-5, 2, 1), an_id(9, 2)),))
    assert parse_position(str(far)) == position(an_id(REACH_MS - 1, 1, 3), islands=((an_id(0, 2, 1), an_id(9, 2)),))


def test_all_below_the_floor_was_had() -> None:
    assert Had(T).begin_of(FLOOR - 1) == 0
    assert Had(T).begin_of(FLOOR) == FLOOR
