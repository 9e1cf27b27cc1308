"""rms/feed/editions.py at its bounds: what was dropped, a second's last millisecond, gaps, and who enters early"""

import json

from rms.feed.arrivals import STEP_MS_MAX
from rms.feed.byte_log import FeedOffset
from rms.feed.editions import FilteredEdition
from rms.feed.entry import Attach
from rms.feed.event import Event
from rms.feed.feed import Feed
from tests.rms.feed.test_editions import LIMITS, new_feed
from tests.rms.parts import T0, comment, event, events, ids


def say(feed: Feed, number: int, now_ms: int) -> None:
    feed.append(event(comment(number, now_ms)), now_ms)


def test_an_edition_holds_what_its_feed_holds() -> None:
    feed = new_feed()
    for number in range(30):
        say(feed, number, T0 + number)
    edition = FilteredEdition(feed, 1_000, T0, backfill=30)
    for late_ms in range(0, LIMITS.log_age_ms_max + 1, STEP_MS_MAX):  # a longer step would be the clock's
        feed.trim(T0 + 12 + late_ms)
    edition.update(T0 + 30)
    assert len(feed) == 18
    assert edition.log.read(edition.log.base, 1 << 20) == feed.log.read(feed.log.base, 1 << 20)
    assert len(edition._stops) == 18 + 1, "and knows no place of what is gone"
    assert edition.text_at(edition.log.base) == feed.text_at(feed.log.base)
    say(feed, 30, T0 + 40)
    edition.update(T0 + 40)
    assert ids(edition.log.read(edition.log.base, 1 << 20)) == [comment(n, T0 + n).id for n in range(12, 30)] + [
        comment(30, T0 + 40).id
    ]


def test_a_second_has_a_thousand_milliseconds() -> None:
    feed = new_feed()
    edition = FilteredEdition(feed, 1, T0, backfill=0)
    for number, at_ms in enumerate((0, 999, 1_000, 1_999, 2_000)):
        say(feed, number, T0 + at_ms)
        edition.update(T0 + at_ms)
    got = list(events(edition.log.read(edition.log.base, 1 << 20)))
    assert [each.get("event", json.loads(each["data"]).get("createdAt")) for each in got] == [
        *(T0, "skipped", T0 + 1_000, "skipped", T0 + 2_000)
    ]


def test_a_gap_is_claimed_by_nobody() -> None:
    feed, ahead = new_feed(), new_feed(3)
    edition = FilteredEdition(feed, None, T0, backfill=0, claims=ahead.position)
    feed.add_gap(comment(0, T0 - 60_000).id, comment(0, T0 - 50_000).id, T0)
    edition.update(T0)
    assert [each["event"] for each in events(edition.log.read(edition.log.base, 1 << 20))] == ["gap"]


def test_who_enters_early_is_told_of_comments_only() -> None:
    feed = new_feed()
    for number in range(10):
        say(feed, number, T0 + number)
        if number in (1, 2):
            feed.append(Event(comment(900 + number, T0 + number).id, b'"poll"', "poll", "poll"), T0)
    edition = FilteredEdition(feed, 1, T0, backfill=4)
    private, offset, _ = edition.attach(Attach(b"", FeedOffset(0)), T0 + 10)
    told = [each for each in events(private) if each.get("event") == "skipped"]
    assert [json.loads(each["data"]) for each in told] == [{"skipped": 2}]
    assert ids(private) == [comment(n, T0 + n).id for n in range(2, 6)]
    assert ids(edition.log.read(offset, 1 << 20)) == [comment(n, T0 + n).id for n in range(6, 10)]
