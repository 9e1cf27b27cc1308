"""dispatcher/core/node.py: what a hello makes of a node"""

import pytest

from dispatcher.core.life import Event, State
from dispatcher.core.node import connected
from tests.dispatcher.core.test_registry import START_MS, hello


def test_a_node_that_says_that_it_drains_drains_from_the_start() -> None:
    assert connected(1, hello(), State.ABSENT, START_MS, START_MS).state is State.LIVE
    node = connected(1, hello(draining=1), State.DRAINING, START_MS, START_MS)
    assert node.state is State.DRAINING
    node.lives_through(Event.UNDRAIN)
    assert node.view(videos=3).state is State.LIVE


def test_an_event_that_can_not_happen_does_not() -> None:
    node = connected(1, hello(), State.ABSENT, START_MS, START_MS)
    node.lives_through(Event.EXPIRE)
    with pytest.raises(KeyError):
        node.lives_through(Event.DRAIN)


@pytest.mark.parametrize(("silent_ms", "since_ms"), [(0, 5_000), (1_000, 5_000), (9_000, 1_000)])
def test_it_may_have_missed_something_since_the_longer_of_both_silences(silent_ms: int, since_ms: int) -> None:
    node = connected(1, hello(silent_ms=silent_ms), State.ABSENT, START_MS + 5_000, START_MS + 10_000)
    assert node.missed_since_ms == START_MS + since_ms


def test_a_view_has_its_seats_as_they_are_now() -> None:
    node = connected(1, hello(capacity_viewers=5, videos={"a": 1}), State.ABSENT, START_MS, START_MS)
    node.seats.promised = 2
    view = node.view(videos=1)
    assert (view.capacity_viewers, view.promised_viewers, view.videos) == (5, 2, 1)
    assert not node.hello.videos, "they change, and stand elsewhere"
