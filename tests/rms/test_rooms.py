"""rms/rooms.py"""

from rms.asking import Wish
from rms.feed import Feed
from rms.rooms import Room, monotonic_ms, wall_ms
from tests.rms.parts import T0
from tests.rms.test_feed import LIMITS


def open_room() -> Room:
    room = Room("v", lambda room, viewer: None)
    room.feed = Feed(LIMITS, [], 0, T0)
    room.pending = None
    return room


def test_an_audience_for_each_wish_made_once() -> None:
    room = open_room()
    plain = room.audience(Wish(), 5)
    assert room.audience(Wish(), 5) is plain
    assert plain.log is room.feed.log
    limited_gzip = room.audience(Wish(5, True), 5)
    assert set(room.audiences) == {Wish(), Wish(5), Wish(5, True)}
    assert limited_gzip.edition.encoding == "gzip"


def test_what_nobody_uses_is_dropped_but_not_another_editions_source() -> None:
    room = open_room()
    room.audience(Wish(5, True), 5)
    room.drop_unused_audiences()
    assert set(room.audiences) <= {Wish(5)}
    room.drop_unused_audiences()
    assert not room.audiences


def test_holds_are_viewers() -> None:
    room = open_room()
    room.holds += 2
    assert room.viewers == 2


def test_a_room_is_behind_from_the_first_comment_that_it_misses() -> None:
    room = open_room()
    room.miss(0)
    assert not room.is_behind
    for from_id in (7, 5, 9, 0):
        room.miss(from_id)
    assert (room.is_behind, room.missed_from) == (True, 5)


def test_two_clocks() -> None:
    assert wall_ms() > T0
    assert monotonic_ms() <= monotonic_ms()
