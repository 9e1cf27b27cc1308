"""rms/videos/video.py: who is in a video, what it lacks, and which forms of its feed there are."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from rms.config import RmsSettings
from rms.feed.feed import Feed
from rms.sending.sweep import Sweeper
from rms.videos.request import Form
from rms.videos.video import ServedVideo
from tests.rms.feed.test_feed import LIMITS
from tests.rms.parts import T0, comment, ids


@pytest.fixture
async def video() -> AsyncIterator[ServedVideo]:
    sweeper = Sweeper(RmsSettings.parse([]), asyncio.get_running_loop())
    video = ServedVideo("v", sweeper, lambda video, viewer: None)
    video.pending = [comment(0, T0 - 2 * LIMITS.dedupe_ms), comment(1), comment(2)]
    video.overflow_id = comment(3).id
    video.open(Feed(LIMITS, [comment(1)], 0, T0))
    yield video
    sweeper.close()


async def test_an_audience_for_each_wish_made_once(video: ServedVideo) -> None:
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


async def test_holds_are_viewers(video: ServedVideo) -> None:
    video.holds += 2
    assert video.viewers == 2


async def test_what_came_before_it_opened_is_there_once_or_missed_or_too_old(video: ServedVideo) -> None:
    assert ids(video.feed.log.read(video.feed.log.base, 1 << 20)) == [comment(1).id, comment(2).id]
    assert video.missed_from == comment(3).id


async def test_a_room_is_behind_from_the_first_comment_that_it_misses(video: ServedVideo) -> None:
    video.missed_from = 0
    video.miss(0)
    assert not video.is_behind
    for from_id in (7, 5, 9, 0):
        video.miss(from_id)
    assert (video.is_behind, video.missed_from) == (True, 5)
