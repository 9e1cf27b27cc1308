"""dispatcher/core/node.py and life.py: what a hello makes of a node, and the table of its states"""

from dataclasses import replace

import pytest

from dispatcher.core.life import LIFE, State, Trigger
from dispatcher.core.node import Hello, connected
from tests.dispatcher.core.test_registry import START_MS, hello


def test_a_node_that_says_that_it_drains_drains_from_the_start() -> None:
    assert connected(1, hello(), State.ABSENT, START_MS, START_MS).state is State.LIVE
    node = connected(1, hello(draining=1), State.DRAINING, START_MS, START_MS)
    assert node.state is State.DRAINING
    node.change(Trigger.UNDRAIN)
    assert node.view(videos=3).state is State.LIVE


def test_what_can_not_happen_does_not() -> None:
    node = connected(1, hello(), State.ABSENT, START_MS, START_MS)
    node.change(Trigger.EXPIRE)
    with pytest.raises(KeyError):
        node.change(Trigger.DRAIN)


@pytest.mark.parametrize(("silent_ms", "since_ms"), [(None, 5_000), (1_000, 5_000), (9_000, 1_000)])
def test_it_may_have_missed_something_since_the_longer_of_both_silences(silent_ms: int | None, since_ms: int) -> None:
    node = connected(1, replace(hello(), silent_ms=silent_ms), State.ABSENT, START_MS + 5_000, START_MS + 10_000)
    assert node.missed_since_ms == START_MS + since_ms


def test_a_view_has_its_seats_as_they_are_now() -> None:
    node = connected(1, hello(capacity_viewers=5, videos={"a": 1}), State.ABSENT, START_MS, START_MS)
    node.seats.promised = 2
    view = node.view(videos=1)
    assert (view.capacity_viewers, view.promised_viewers, view.videos) == (5, 2, 1)
    assert not node.hello.videos, "they change, and stand elsewhere"


def test_the_table_has_a_row_for_each_state_and_no_other_value() -> None:
    assert LIFE.keys() == set(State)
    for row in LIFE.values():
        assert set(row) <= set(Trigger)
        assert set(row.values()) <= set(State)


def test_who_is_here_can_do_everything_and_who_is_not_can_only_come() -> None:
    assert set(LIFE[State.ABSENT]) == {Trigger.HELLO}
    assert set(LIFE[State.LIVE]) == set(LIFE[State.DRAINING]) == set(Trigger)


def test_a_node_that_says_no_more_neither_drains_nor_was_away() -> None:
    plain = Hello("rms-1", 1, "http://rms-1", 10, 0, {})
    assert (plain.silent_ms, plain.draining) == (None, False)
