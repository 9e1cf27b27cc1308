"""rms/feed/event.py"""

from rms.feed.event import read_from
from tests.rms.parts import comment, event


def test_what_was_read_is_chained_by_service() -> None:
    one, other = [comment(n) for n in (1, 3)], [comment((1 << 6) + n) for n in (1, 2)]  # of two services
    read = read_from([event(each) for each in (one[0], other[0], one[1])] + [event(other[1], 99)], 7)
    assert [each.after_id for each in read] == [6, 6, one[0].id, 99], "what a row says itself counts"
    assert [each.id for each in read] == [one[0].id, other[0].id, one[1].id, other[1].id]
