"""A video's life as a table, and what its watchers get"""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from history.core.model import Author, comment_json
from history.core.video import NEXT, Order, State, Video, VideoOver, obey, replay_json, video_json
from tests.history.comments import a_comment

PLANNED = Video("demo", "A talk", Author("ann", "Ann"), 1_000)
LIVE = replace(PLANNED, started_at_ms=2_000)
ENDED = replace(LIVE, ended_at_ms=9_000)
CALLED_OFF = replace(PLANNED, ended_at_ms=1_500)


def test_the_table_is_whole() -> None:
    assert set(NEXT) == {(state, order) for state in State for order in Order}


@pytest.mark.parametrize(
    ("video", "order", "after"),
    [
        (PLANNED, Order.START, replace(PLANNED, started_at_ms=5_000)),
        (PLANNED, Order.END, replace(PLANNED, ended_at_ms=5_000)),
        (LIVE, Order.START, LIVE),
        (LIVE, Order.END, replace(LIVE, ended_at_ms=5_000)),
        (ENDED, Order.END, ENDED),
        (CALLED_OFF, Order.END, CALLED_OFF),
    ],
)
def test_orders(video: Video, order: Order, after: Video) -> None:
    assert obey(video, order, 5_000) == after


@pytest.mark.parametrize("video", [ENDED, CALLED_OFF])
def test_what_has_ended_stays_so(video: Video) -> None:
    with pytest.raises(VideoOver):
        obey(video, Order.START, 10_000)


@given(st.lists(st.tuples(st.sampled_from(Order), st.integers(0, 10**13))))
def test_times_never_go_back(orders: list[tuple[Order, int]]) -> None:
    """Whatever the clock does: a start and an end are set once, the end is not before the start."""
    video = PLANNED
    for order, now_ms in orders:
        try:
            after = obey(video, order, now_ms)
        except VideoOver:
            assert video.state is State.ENDED
            continue
        assert video.started_at_ms in (None, after.started_at_ms)
        assert video.ended_at_ms in (None, after.ended_at_ms)
        video = after
    if video.started_at_ms is not None and video.ended_at_ms is not None:
        assert video.started_at_ms <= video.ended_at_ms


def test_as_json() -> None:
    assert json.loads(video_json(LIVE)) == {
        "id": "demo",
        "title": "A talk",
        "owner": {"id": "ann", "name": "Ann"},
        "state": "live",
        "createdAt": 1_000,
        "plannedAt": None,
        "startedAt": 2_000,
        "endedAt": None,
        "playbackUrl": None,
    }
    assert json.loads(video_json(replace(CALLED_OFF, owner=None)))["owner"] is None


def test_a_replayed_comment_knows_its_offset() -> None:
    comment = a_comment(7)
    page = json.loads(replay_json([comment], comment.created_at_ms - 1_234, 7))
    assert page == {
        "comments": [{**json.loads(comment_json(comment)), "offsetMs": 1_234}],
        "nextCursor": "0000000000000007",
    }
    assert json.loads(replay_json([], 0, None)) == {"comments": [], "nextCursor": None}
