"""dispatcher/core/interests.py: the two maps agree, whatever is joined, left, counted and sent."""

from dataclasses import FrozenInstanceError

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from dispatcher.core.interests import Interests, VideoView
from dispatcher.core.seating import rank

VIDEOS = ("a", "b", "c")
NODES = {1: "rms-1", 2: "rms-2", 3: "rms-3"}


def interests() -> Interests:
    made = Interests()
    for session, node_id in NODES.items():
        made.add(session, node_id)
    return made


class AnyOrder(RuleBasedStateMachine):
    """Against a model of one dict: (session, video) -> viewers. A node that adds up what it is sent knows all sums."""

    def __init__(self) -> None:
        super().__init__()
        self.interests = interests()
        self.model: dict[tuple[int, str], int] = {}
        self.sent: dict[int, dict[str, int]] = {session: {} for session in NODES}

    sessions = st.sampled_from(sorted(NODES))
    videos = st.sampled_from(VIDEOS)

    @rule(session=sessions, video=videos)
    def joins(self, session: int, video: str) -> None:
        self.interests.join(session, video)
        self.model.setdefault((session, video), 0)

    @rule(session=sessions, video=videos)
    def leaves(self, session: int, video: str) -> None:
        self.interests.leave(session, video)
        self.model.pop((session, video), None)
        self.sent[session].pop(video, None)

    @rule(session=sessions, viewers=st.dictionaries(videos, st.integers(0, 5)))
    def counts(self, session: int, viewers: dict[str, int]) -> None:
        self.interests.count(session, viewers)
        self.model.update({(session, v): n for v, n in viewers.items() if (session, v) in self.model})

    @rule(session=sessions)
    def goes_and_comes(self, session: int) -> None:
        self.interests.remove(session)
        assert not self.interests.videos_of(session)
        assert self.interests.sums(session, 10) == {}
        self.interests.add(session, NODES[session])
        self.sent[session] = {}
        self.model = {pair: viewers for pair, viewers in self.model.items() if pair[0] != session}

    @rule(at_once=st.integers(1, 3))
    def all_are_sent(self, at_once: int) -> None:
        self.interests.spread()
        for session in NODES:
            while sums := self.interests.sums(session, at_once):
                assert len(sums) <= at_once
                self.sent[session].update(sums)
            assert self.sent[session] == {
                video: self.interests.viewers(video) for video in self.interests.videos_of(session)
            }

    @invariant()
    def both_maps_are_the_model(self) -> None:
        assert len(self.interests) == len(self.model)
        assert self.interests.videos == len({video for _, video in self.model})
        for session in NODES:
            assert set(self.interests.videos_of(session)) == {video for who, video in self.model if who == session}
        for video in VIDEOS:
            serving = [session for session, served in self.model if served == video]
            assert list(self.interests.route(video)) == sorted(serving, key=lambda s: rank(video, NODES[s]))
            viewers = sum(count for (_, served), count in self.model.items() if served == video)
            assert self.interests.viewers(video) == viewers
            view = self.interests.video(video)
            assert (view is None) == (not serving)
            if view:
                assert view.viewers == viewers


AnyOrder.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
test_any_order = AnyOrder.TestCase


def test_the_most_watched_videos_come_first() -> None:
    made = interests()
    for session, viewers in ((1, {"a": 1, "b": 5, "c": 2}), (2, {"a": 5, "c": 3})):
        for video in viewers:
            made.join(session, video)
        made.count(session, viewers)
    assert [(video.video_id, video.viewers) for video in made.most_watched(2)] == [("a", 6), ("b", 5)]
    assert made.most_watched(1)[0].node_ids == ("rms-1", "rms-2")


def test_a_sum_is_sent_once_and_as_it_was_at_the_last_spread() -> None:
    made = interests()
    made.join(1, "a")
    assert made.sums(1, 10) == {"a": 0}
    for viewers in (1, 2, 3):
        made.count(1, {"a": viewers, "b": 9})
    assert made.sums(1, 10) == {}
    made.spread()
    made.count(1, {"a": 4})
    assert made.sums(1, 10) == {"a": 3}
    assert made.sums(1, 10) == {}
    assert made.sums(99, 10) == {}, "the session is over"


def test_views_are_frozen() -> None:
    view = VideoView("demo", 3, ("rms-1",))
    with pytest.raises(FrozenInstanceError):
        view.viewers = 4  # type: ignore[misc]
