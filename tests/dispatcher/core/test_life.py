"""dispatcher/core/life.py: the table is whole, and nobody leaves it."""

from dispatcher.core.life import LIFE, Event, State


def test_the_table_has_a_row_for_each_state_and_no_strange_word() -> None:
    assert LIFE.keys() == set(State)
    for row in LIFE.values():
        assert set(row) <= set(Event)
        assert set(row.values()) <= set(State)


def test_who_is_here_can_do_everything_and_who_is_not_can_only_come() -> None:
    assert set(LIFE[State.ABSENT]) == {Event.HELLO}
    assert set(LIFE[State.LIVE]) == set(LIFE[State.DRAINING]) == set(Event)
