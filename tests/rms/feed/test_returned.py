"""rms/feed/returned.py: where a comment stands whose text an event has brought back"""

from rms.feed.returned import Returned

SHOWN = (10, 40, 30)  # in the order of the log: 30 came late


def returned(*pairs: tuple[int, int]) -> Returned:
    made = Returned()
    for event_id, comment_id in pairs:
        made.add(event_id, comment_id)
    return made


def test_whose_text_an_entry_has() -> None:
    made = returned((100, 20), (101, 5))
    assert [made.comment_of(entry_id) for entry_id in (100, 101, 20, 7)] == [20, 5, 20, 7]
    assert list(made.entries_of(20)) == [20, 100]
    assert list(made.entries_of(7)) == [7]


def test_a_comment_that_was_restored_twice_may_stand_at_each_place() -> None:
    assert list(returned((100, 20), (101, 5), (102, 20)).entries_of(20)) == [20, 100, 102]


def test_what_is_forgotten_has_brought_nothing_back() -> None:
    made = returned((100, 20), (101, 5))
    made.forget([100, 7, 20])
    assert (made.comment_of(100), list(made.entries_of(20)), list(made.entries_of(5))) == (100, [20], [5, 101])
    Returned().forget([1])


def test_each_stands_before_the_next_younger_one() -> None:
    made = returned((100, 35), (101, 5), (102, 50), (103, 20))
    assert made.places(SHOWN, 0) == [(101, 0), (103, 1), (100, 1), (102, 3)]
    assert made.places((), 0) == [(101, 0), (103, 0), (100, 0), (102, 0)]


def test_what_stands_elsewhere_or_is_older_has_no_place() -> None:
    made = returned((100, 30), (101, 5), (102, 20))
    assert made.places(SHOWN, 20) == [(102, 1)]
    assert made.places(SHOWN, 21) == []
