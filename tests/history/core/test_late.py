"""Which comments are late, and the stretches around them"""

from hypothesis import given, settings
from hypothesis import strategies as st

from history.core.ids import first_id_at
from history.core.late import ALL_VIDEOS, Stretch, late_among, late_notices, stretches
from tests.history.comments import a_comment

ids = st.integers(1, 40)


def test_late_is_what_is_old_when_it_is_durable() -> None:
    comments = [a_comment(first_id_at(ms)) for ms in (1_000, 1_999, 2_000, 12_000)]
    assert late_among(comments, 12_000, 10_000) == comments[:2]
    assert late_among(comments, 10_999, 10_000) == []


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), ids)))
def test_each_video_has_one_stretch_around_all(named: list[tuple[str, int]]) -> None:
    by_video = {name: [each for other, each in named if other == name] for name, _ in named}
    found = stretches((a_comment(comment_id, name) for name, comment_id in named), 2)
    assert set(found) == {Stretch(name, min(some), max(some)) for name, some in by_video.items()}
    assert len(found) == len(by_video)


@settings(max_examples=50, deadline=None)
@given(st.lists(ids, min_size=4))
def test_many_videos_have_one_stretch(found: list[int]) -> None:
    """A stranger may post each comment into another video."""
    comments = [a_comment(comment_id, f"video-{n}") for n, comment_id in enumerate(found)]
    assert stretches(comments, 3) == [Stretch(ALL_VIDEOS, min(found), max(found))]


def test_what_is_too_much_is_everything_and_news_each_time() -> None:
    rows = [("a", 1, 2), ("b", 3, 4)]
    assert late_notices(rows, 5, 2) == [Stretch("a", 1, 2), Stretch("b", 3, 4)]
    everything, later = late_notices(rows, 5, 1), late_notices(rows, 6, 1)
    assert everything == [Stretch(ALL_VIDEOS, 0, first_id_at(5))]
    assert everything != later
