"""rms/videos/video.py: who is in a room, what it lacks, and which forms of its feed there are."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from rms.config import RmsSettings
from rms.feed.feed import Feed
from rms.sending.sweep import Sweeper
from rms.videos.request import Wish
from rms.videos.video import Room
from tests.rms.feed.test_feed import LIMITS
from tests.rms.parts import T0, comment, ids


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    sweeper = Sweeper(RmsSettings.parse([]), asyncio.get_running_loop())
    room = Room("v", sweeper, lambda room, viewer: None)
    room.pending = [comment(0, T0 - 2 * LIMITS.dedupe_ms), comment(1), comment(2)]
    room.overflow_id = comment(3).id
    room.open(Feed(LIMITS, [comment(1)], 0, T0))
    yield room
    sweeper.close()


async def test_an_audience_for_each_wish_made_once(room: Room) -> None:
    plain = room.audience(Wish(), 5)
    assert room.audience(Wish(), 5) is plain
    assert plain.log is room.feed.log
    limited_gzip = room.audience(Wish(5, True), 5)
    assert set(room.audiences) == {Wish(), Wish(5), Wish(5, True)}
    assert limited_gzip.edition.encoding == "gzip"


async def test_what_nobody_uses_is_dropped_but_not_another_editions_source(room: Room) -> None:
    room.audience(Wish(5, True), 5)
    room.drop_unused_audiences()
    assert set(room.audiences) <= {Wish(5)}
    room.drop_unused_audiences()
    assert not room.audiences


async def test_holds_are_viewers(room: Room) -> None:
    room.holds += 2
    assert room.viewers == 2


async def test_what_came_before_it_opened_is_there_once_or_missed_or_too_old(room: Room) -> None:
    assert ids(room.feed.log.read(0, 1 << 20)) == [comment(1).id, comment(2).id]
    assert room.missed_from == comment(3).id


async def test_a_room_is_behind_from_the_first_comment_that_it_misses(room: Room) -> None:
    room.missed_from = 0
    room.miss(0)
    assert not room.is_behind
    for from_id in (7, 5, 9, 0):
        room.miss(from_id)
    assert (room.is_behind, room.missed_from) == (True, 5)
