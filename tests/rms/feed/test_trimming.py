"""rms/feed/feed.py: what a feed still knows when it has dropped the beginning of its log"""

from rms.feed.entry import FeedLimits
from tests.rms.feed.test_feed import LIMITS, new_feed
from tests.rms.parts import T0, comment, erasure, event


def test_a_long_log_holds_as_much_as_it_may() -> None:
    feed = new_feed(limits=FeedLimits(5_000, 10_000_000, 2, 100, 60_000))
    for n in range(300):
        feed.append(event(comment(n, T0 + n)), T0 + n)
        frame = feed.log.start_of(1) - feed.log.base
        assert len(feed.log) <= 5_000
        assert feed.log.base == 0 or len(feed.log) > 5_000 - 2 * frame
    assert feed.log.base > 5_000


def test_from_where_on_the_log_has_all_never_goes_back() -> None:
    feed = new_feed(limits=FeedLimits(1 << 20, 1_000, 1, 100, 60_000))
    for second, n in enumerate((10, 5, 7, 11, 12)):  # two come late
        feed.append(event(comment(n)), T0 + second)
    seen = []
    for second in range(4):
        feed.trim(T0 + second + 1_001)
        seen.append(feed.held_from)
    assert seen == [comment(n).id + 1 for n in (10, 10, 10, 11)]
    assert feed.held_from == comment(11).id + 1
    assert list(feed.ids) == [comment(12).id]


def test_who_has_read_what_was_dropped_still_has_a_position() -> None:
    feed = new_feed()
    for n in range(20):
        feed.append(event(comment(n, T0 + n), comment(n - 1, T0 + n - 1).id if n else 0), T0 + n)
    known = {feed.log.start_of(n): feed.text_at(feed.log.start_of(n)) for n in range(21)}
    feed.trim(T0 + 10 + LIMITS.log_age_ms_max)
    assert len(feed) == 10
    for offset, text in known.items():
        assert feed.text_at(offset) == (text if offset >= feed.log.base else None)


def test_a_backfill_without_old_changes_is_counted_after_a_trim() -> None:
    feed = new_feed()
    for n in range(20):
        feed.append(event(comment(n, T0 + n)), T0 + n)
    for n in (1, 3):
        feed.append(erasure(comment(100 + n, T0 + n).id, comment(n, T0 + n).id), T0 + 20)
    assert (len(feed), feed.comments_held()) == (22, 18)
    feed.trim(T0 + 4 + LIMITS.log_age_ms_max)
    assert (len(feed), feed.comments_held()) == (18, 16)
    assert feed.backfill_index(3) == 18 - 2 - 3
