"""rms/feed/returned.py: where a comment stands whose text an event has brought back"""

from array import array

from rms.feed.returned import Returned

SHOWN = (10, 40, 30)  # in the order of the log: 30 came late


def returned(*pairs: tuple[int, int]) -> Returned:
    made = Returned()
    for event_id, comment_id in pairs:
        made.add(event_id, comment_id)
    return made


def entries_of(made: Returned, comment_id: int) -> list[int]:
    log = array("Q", [5, 7, 20, 100, 101, 102])
    return [log[index] for index in made.indices_of(comment_id, log)]


def test_whose_text_an_entry_has() -> None:
    made = returned((100, 20), (101, 5))
    assert [made.comment_of(entry_id) for entry_id in (100, 101, 20, 7)] == [20, 5, 20, 7]
    assert entries_of(made, 20) == [20, 100]
    assert entries_of(made, 7) == [7]


def test_a_comment_that_was_restored_twice_may_stand_at_each_place() -> None:
    assert entries_of(returned((100, 20), (101, 5), (102, 20)), 20) == [20, 100, 102]


def test_what_is_forgotten_has_brought_nothing_back() -> None:
    made = returned((100, 20), (101, 5))
    made.forget([100, 7, 20])
    assert (made.comment_of(100), entries_of(made, 20), entries_of(made, 5)) == (100, [20], [5, 101])
    Returned().forget([1])


def test_each_stands_before_the_next_younger_one() -> None:
    made = returned((100, 35), (101, 5), (102, 50), (103, 20))
    assert made.places(SHOWN, 0) == [(101, 0), (103, 1), (100, 1), (102, 3)]
    assert made.places((), 0) == [(101, 0), (103, 0), (100, 0), (102, 0)]


def test_what_stands_elsewhere_or_is_older_has_no_place() -> None:
    made = returned((100, 30), (101, 5), (102, 20))
    assert made.places(SHOWN, 20) == [(102, 1)]
    assert made.places(SHOWN, 21) == []


class Walked(array):  # type: ignore[type-arg]  # it can't be made with a type's argument
    """An array that counts the walks over it"""

    walks = 0

    def __contains__(self, value: object) -> bool:
        self.walks += 1
        return super().__contains__(value)

    def index(self, value: int, start: int = 0, stop: int = 1 << 62) -> int:
        self.walks += 1
        return super().index(value, start, stop)


def test_a_comments_entries_are_found_with_one_walk_for_each() -> None:
    found, ids = Returned(), Walked("Q", [3, 5, 7, 9])
    assert (found.indices_of(7, ids), ids.walks) == ([2], 1)
    assert (found.indices_of(8, ids), ids.walks) == ([], 2)
    found.add(9, 5)
    found.add(11, 5)  # it is in the log no longer
    found.add(3, 7)
    assert (found.indices_of(5, ids), ids.walks) == ([1, 3], 5)
