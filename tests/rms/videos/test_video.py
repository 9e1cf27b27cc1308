"""rms/videos/video.py: who watches it, what it lacks, and which forms of its feed there are."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from rms.config import RmsSettings
from rms.feed.editions import Form
from rms.feed.feed import Feed
from rms.feed.position import Position
from rms.sending.sweep import Sweeper
from rms.videos.video import ServedVideo, State
from tests.rms.feed.test_feed import LIMITS
from tests.rms.parts import T0, comment, event, ids


@pytest.fixture
async def video() -> AsyncIterator[ServedVideo]:
    sweeper = Sweeper(RmsSettings.parse([]), asyncio.get_running_loop())
    video = ServedVideo("v", sweeper, lambda video, viewer: None)
    for each in (comment(0, T0 - 2 * LIMITS.dedupe_ms), comment(1), comment(2), comment(4), comment(3)):
        video.buffer(event(each), 3)
    video.open(Feed(LIMITS, [event(comment(1))], 0, T0))
    yield video
    sweeper.close()


async def test_an_audience_for_each_form_made_once(video: ServedVideo) -> None:
    plain = video.audience(Form(), 5)
    assert video.audience(Form(), 5) is plain
    assert plain.log is video.feed.log  # type: ignore[comparison-overlap]
    limited_gzip = video.audience(Form(5, True), 5)
    assert set(video.audiences) == {Form(), Form(5), Form(5, True)}
    assert limited_gzip.edition.encoding == "gzip"


async def test_what_nobody_uses_is_dropped_but_not_another_editions_source(video: ServedVideo) -> None:
    video.audience(Form(5, True), 5)
    video.drop_unused_audiences()
    assert set(video.audiences) <= {Form(5)}
    video.drop_unused_audiences()
    assert not video.audiences


async def test_claims_that_nobody_has_any_more_make_room(video: ServedVideo) -> None:
    claims, others = (Position(comment(number).id) for number in range(2))
    used = video.audience(Form(5, True, claims), 5)
    used.waiters.add(asyncio.Event())
    assert video.find_room_for_claims(claims, None, 1, 1)
    assert not video.find_room_for_claims(others, None, 1, 1)
    used.waiters.clear()
    assert video.find_room_for_claims(others, None, 1, 1)
    assert not video.audiences


async def test_an_address_has_room_for_a_part_of_all_claims(video: ServedVideo) -> None:
    first, second, third, fourth = (Position(comment(number).id) for number in range(4))

    def finds_room(claims: Position, key: str | None) -> bool:
        found = video.find_room_for_claims(claims, key, 3, 1)
        if found:
            video.promise_room(claims)
        return found

    assert finds_room(first, "a")
    assert not finds_room(second, "a")
    assert finds_room(first, "a"), "it is the same claim"
    assert finds_room(second, "b")
    assert finds_room(second, "a"), "others have it already"
    assert finds_room(third, None)
    assert not finds_room(fourth, None)
    for claims in (first, first, third):
        video.take_room_back(claims)
    assert finds_room(fourth, "a"), "its own claim is nobody's any more"
    assert not finds_room(third, "a")


async def test_holds_are_viewers(video: ServedVideo) -> None:
    video.holds += 2
    assert video.viewers == 2


async def test_what_came_before_it_opened_is_there_once_or_missed_or_too_old(video: ServedVideo) -> None:
    assert ids(video.feed.log.read(video.feed.log.base, 1 << 20)) == [comment(1).id, comment(2).id]
    assert video.missed_from == comment(3).id


async def test_a_video_is_behind_from_the_first_comment_that_it_misses(video: ServedVideo) -> None:
    other = ServedVideo("w", video._sweeper, lambda video, viewer: None)
    behind = [(other.is_behind, other.missed_from)]
    for from_id in (7, 5, 9):
        other.miss(from_id)
        behind.append((other.is_behind, other.missed_from))
    assert behind == [(False, None), (True, 7), (True, 5), (True, 5)]


async def test_what_cannot_be_appended_is_missed_and_logged_once(
    video: ServedVideo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(video: ServedVideo, each: object) -> None:
        raise ValueError("says the test")

    monkeypatch.setattr(ServedVideo, "append", broken)
    other = ServedVideo("w", video._sweeper, lambda video, viewer: None)
    other.open(Feed(LIMITS, [], 0, T0))
    other.hold_live()
    for number in (9, 7, 8):
        other.buffer(event(comment(number)), 3)
    with capture_logs() as lines:
        other.flush()
    assert [(line["id"], line["reason"]) for line in lines] == [(comment(9).id, "ValueError('says the test')")]
    assert (other.state, other.missed_from) == (State.LIVE, comment(7).id)
