"""rms/feed/returned.py: which entries have a comment's text"""

from array import array

from rms.feed.returned import Returned


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
    returned, ids = Returned(), Walked("Q", [3, 5, 7, 9])
    assert (returned.indices_of(7, ids), ids.walks) == ([2], 1)
    assert (returned.indices_of(8, ids), ids.walks) == ([], 2)
    returned.add(9, 5)
    returned.add(11, 5)  # it is in the log no longer
    returned.add(3, 7)
    assert (returned.indices_of(5, ids), ids.walks) == ([1, 3], 5)
