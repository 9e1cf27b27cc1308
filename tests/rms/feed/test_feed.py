"""rms/feed/feed.py: whatever is late, doubled, erased or trimmed, each comment is in the log once, for all."""

import json
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from history.core.ids import format_id
from history.core.model import Author, Comment
from rms.feed.byte_log import FeedOffset
from rms.feed.entry import Attach, FeedLimits
from rms.feed.event import AUTHOR_PURGED, HIDDEN, RESTORED, Event, Promise
from rms.feed.feed import Feed
from rms.feed.position import Position, parse_position
from rms.feed.withdrawn import Withdrawn
from tests.rms.parts import T0, chained, comment, erasure, event, events, ids

LIMITS = FeedLimits(
    log_bytes_max=1 << 20, log_age_ms_max=10_000, log_comments_min=5, resume_events_max=100, dedupe_ms=60_000
)


def new_feed(seed: list[Comment] | None = None, complete_from: int = 0, limits: FeedLimits = LIMITS) -> Feed:
    return Feed(limits, chained(seed or []), complete_from, T0)


def read(feed: Feed, attach: Attach[FeedOffset]) -> bytes:
    return attach.private + feed.log.read(attach.offset, 1 << 30)


def position_at(feed: Feed, offset: FeedOffset) -> Position | None:
    text = feed.text_at(offset)
    return None if text is None else parse_position(text.decode())


def position_after(feed: Feed, count: int) -> Position:
    """Of a viewer that has read so many frames of the feed"""
    position = position_at(feed, feed.log.start_of(count))
    assert position is not None
    return position


@st.composite
def talks(draw: st.DrawFn) -> list[Comment]:
    """Comments over some seconds, in the order of their ids"""
    steps = draw(st.lists(st.integers(0, 800), min_size=1, max_size=40))
    at, talk = T0, []
    for number, step in enumerate(steps):
        at += step
        talk.append(comment(number, at))
    return talk


@st.composite
def arrivals(draw: st.DrawFn, talk: list[Comment], late_ms_max: int) -> list[Comment]:
    """An order of arrival in which nothing is later than so many ms"""
    delays = [draw(st.integers(0, late_ms_max)) for _ in talk]
    return [c for _, c in sorted(zip(delays, talk, strict=True), key=lambda pair: pair[1].created_at_ms + pair[0])]


def test_a_joiner_gets_the_last_comments_and_then_what_comes() -> None:
    talk = [comment(n, T0 + n) for n in range(20)]
    feed = new_feed(talk[:10])
    attach = feed.join(backfill=3)
    for each in chained(talk)[10:]:
        assert feed.append(each, T0)
    assert ids(read(feed, attach)) == [c.id for c in talk[7:]]
    assert attach.private == b""
    assert ids(read(feed, feed.join(backfill=0))) == []


def test_a_comment_is_in_the_log_once() -> None:
    feed = new_feed([comment(1)])
    assert not feed.append(event(comment(1)), T0)
    assert feed.append(event(comment(2)), T0)
    assert not feed.append(event(comment(2)), T0 + LIMITS.dedupe_ms)
    assert len(feed) == 2


def test_a_comment_is_remembered_for_its_whole_time_however_much_comes_meanwhile() -> None:
    feed = new_feed([])
    for second in range(LIMITS.dedupe_ms // 1_000):
        assert feed.append(event(comment(second)), T0 + second * 1_000)
    for second in range(LIMITS.dedupe_ms // 1_000):
        assert not feed.append(event(comment(second)), T0 + LIMITS.dedupe_ms), second


def test_trimming_keeps_the_backfill_and_forgets_by_age_and_by_bytes() -> None:
    feed = new_feed()
    for n in range(30):
        feed.append(event(comment(n, T0 + n)), T0 + n)
    feed.trim(T0 + LIMITS.log_age_ms_max + 20)
    assert len(feed) == 10  # those younger than the limit
    feed.trim(T0 + 10 * LIMITS.log_age_ms_max)
    assert len(feed) == LIMITS.log_comments_min
    assert ids(read(feed, feed.join(100))) == [comment(n, T0 + n).id for n in range(25, 30)]
    small = new_feed(limits=FeedLimits(1_000, 10_000, 2, 100, 60_000))
    for n in range(30):
        small.append(event(comment(n, T0 + n)), T0 + n)
    assert len(small.log) <= 1_000
    assert len(small) >= 2


@example(
    [(578, 0), *[(1_500, 0)] * 14, (20_000, 0), (20_000, 1_299)]  # the newest id is a second behind the clock
)
@given(st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 30_000)), min_size=1, max_size=60))
def test_what_was_here_is_known_or_may_be_forgotten_and_what_is_new_neither(steps: list[tuple[int, int]]) -> None:
    """Each arrives up to half a minute after it was said: nothing is sent twice, and nothing in time is refused."""
    now_ms, feed, had = T0, new_feed(), []
    for number, (step_ms, late_ms) in enumerate(steps):
        now_ms += step_ms
        talk = comment(number, now_ms - late_ms)
        assert not feed.may_have_forgotten(talk.id, now_ms)
        feed.append(event(talk), now_ms)
        had.append(talk)
        for each in had:
            assert feed.may_have_forgotten(each.id, now_ms) or not feed.append(event(each), now_ms)


def test_one_wrong_clock_makes_nobody_late() -> None:
    feed = new_feed([comment(1), comment(2, T0 + 3_600_000)])
    assert not feed.may_have_forgotten(comment(3).id, T0 + 1)
    assert not new_feed([comment(1)]).may_have_forgotten(comment(2, T0 + 1).id, T0 + 3_600_000)
    assert not new_feed().may_have_forgotten(comment(1).id, T0 + 3_600_000)


@given(st.data())
def test_a_position_is_known_for_each_end_of_a_frame_that_is_held(data: st.DataObject) -> None:
    feed = new_feed()
    talk = data.draw(talks())
    positions = {}
    for each, c in zip(chained(talk), talk, strict=True):
        feed.append(each, c.created_at_ms)
        positions[feed.log.end] = feed.position
    for offset, position in positions.items():
        assert position_at(feed, offset) == (position if offset >= feed.log.base else None)
    assert all(position_at(feed, entry.end).claims().cover(entry.id) for entry in feed.entries())  # type: ignore[union-attr]


def test_an_erased_comment_is_blank_for_those_who_come_and_sent_to_those_who_are_here() -> None:
    feed = new_feed([comment(n) for n in range(3)])
    end = feed.log.end
    secret = comment(1)
    assert feed.append(erasure(comment(9).id, secret.id), T0)
    assert not feed.append(erasure(comment(9).id, secret.id), T0)
    (told,) = events(feed.log.read(end, 1 << 20))
    assert (told["event"], json.loads(told["data"])) == ("deleted", {"id": format_id(secret.id)})
    whole = feed.log.read(FeedOffset(0), 1 << 20)
    assert ids(whole) == [comment(0).id, comment(2).id]
    assert b"hello" not in whole.split(b"\n\n")[1]
    assert [each["id"] for each in events(whole)] == [str(position_after(feed, n)) for n in range(1, 5)]
    joiner = read(feed, feed.join(10))
    assert ids(joiner) == [comment(0).id, comment(2).id]
    assert [each["id"] for each in events(joiner)][-1] == str(feed.position)
    assert b"deleted" not in joiner


def test_an_erased_comment_never_comes_later() -> None:
    feed = new_feed()
    feed.append(erasure(comment(9).id, comment(1).id), T0)
    assert not feed.append(event(comment(1)), T0)
    assert feed.append(event(comment(2)), T0)
    assert ids(read(feed, feed.join(10))) == [comment(2).id]


def test_a_backfill_counts_comments_and_no_events() -> None:
    feed = new_feed([comment(n) for n in range(10)])
    for n in range(5):
        feed.append(erasure(comment(20 + n).id, comment(9 - n).id), T0)
    feed.append(event(comment(40)), T0)
    assert ids(read(feed, feed.join(3))) == [comment(n).id for n in (3, 4, 40)]
    assert feed.comments_held() == 6


def test_a_backfill_has_nothing_that_the_log_has_dropped() -> None:
    """For that is read from history."""
    feed = new_feed([comment(n) for n in range(10)])
    feed.append(erasure(comment(20).id, comment(9).id), T0)
    assert len(ids(read(feed, feed.join(20)))) == 9
    feed.trim(T0 + LIMITS.log_age_ms_max + 1)
    assert ids(read(feed, feed.join(20))) == [comment(n).id for n in (6, 7, 8)]


def test_a_hidden_comment_that_is_restored_is_in_its_place_again() -> None:
    feed = new_feed([comment(n) for n in range(3)])
    before = feed.log.read(FeedOffset(0), 1 << 20)
    feed.append(Event(comment(10).id, b'{"id":"x"}', HIDDEN, "deleted", comment(1).id), T0)
    assert ids(read(feed, feed.join(10))) == [comment(0).id, comment(2).id]
    feed.append(Event(comment(11).id, event(comment(1)).data, RESTORED, "restored", comment(1).id), T0)
    assert feed.log.read(FeedOffset(0), len(before)) == before
    assert ids(read(feed, feed.join(10))) == [comment(n).id for n in range(3)]


def restoration(event_id: int, restored: Comment) -> Event:
    return Event(event_id, event(restored).data, RESTORED, "restored", restored.id)


def test_a_comment_that_was_hidden_when_the_feed_began_comes_to_its_place_when_it_is_restored() -> None:
    """For those who come after that, too: nothing else in the log has it."""
    feed = new_feed([comment(n) for n in range(6) if n not in (0, 2, 3, 5)])
    for number, hidden in enumerate((5, 3, 0, 2, 3)):
        feed.append(restoration(comment(10 + number).id, comment(hidden)), T0)
    feed.append(event(comment(20)), T0)
    joined = feed.join(10)
    assert ids(read(feed, joined)) == [comment(n).id for n in (0, 1, 2, 3, 4, 5, 20)]
    assert ids(read(feed, feed.join(2))) == [comment(n).id for n in (4, 5, 20)], "further down, pages have them"
    for number, told in enumerate(events(joined.private)):  # wherever it is cut: what follows in the log comes
        position = parse_position(told["id"])
        claims = position.claims()
        later = {each.id for each in feed.entries() if not claims.cover(each.id)}
        given = ids(joined.private)[: number + 1]
        assert {comment(n).id for n in (1, 4, 20)} <= {*later, *given}
    feed.append(Event(comment(30).id, b"{}", HIDDEN, "deleted", comment(3).id), T0)
    assert ids(read(feed, feed.join(10))) == [comment(n).id for n in (0, 1, 2, 4, 5, 20)]
    for number in range(5):
        feed.append(event(comment(40 + number)), T0)
    feed.trim(T0 + 1_000_000)
    assert ids(read(feed, feed.join(10))) == [comment(40 + n).id for n in range(5)], "history has the others"


def test_a_restored_comment_that_is_gone_again_is_nowhere_in_the_log() -> None:
    """A viewer that comes back from before it was restored gets no erased text."""
    feed = new_feed([comment(n) for n in range(3)])
    for number in range(3):
        feed.append(Event(comment(10 + number).id, b"{}", HIDDEN, "deleted", comment(number).id), T0)
        feed.append(restoration(comment(20 + number).id, comment(number)), T0)
    feed.append(erasure(comment(30).id, comment(0).id), T0)
    assert feed.log.read(FeedOffset(0), 1 << 20).count(b"hello") == 4
    feed.append(Event(comment(31).id, b"{}", AUTHOR_PURGED, "author_purged", comment(1).id, "guest:ann"), T0)
    assert feed.log.read(FeedOffset(0), 1 << 20).count(b"hello") == 2
    assert ids(read(feed, feed.join(10))) == [comment(2).id]


def test_of_what_is_said_about_a_comment_the_last_holds_and_an_erasure_for_ever() -> None:
    feed = new_feed([comment(1)])
    restored = Event(comment(12).id, event(comment(1)).data, RESTORED, "restored", comment(1).id)
    assert feed.append(restored, T0)
    assert not feed.append(Event(comment(11).id, b"{}", HIDDEN, "deleted", comment(1).id), T0), "it comes late"
    assert ids(read(feed, feed.join(10))) == [comment(1).id]
    feed.append(erasure(comment(13).id, comment(1).id), T0)
    assert not feed.append(Event(comment(14).id, restored.data, RESTORED, "restored", comment(1).id), T0)
    assert ids(read(feed, feed.join(10))) == []


def test_a_purged_author_s_comments_are_gone_and_stay_away() -> None:
    feed = new_feed([comment(n) for n in range(3)])
    purge = Event(
        comment(20).id, b'{"authorId":"guest:ann"}', AUTHOR_PURGED, "author_purged", comment(9).id, "guest:ann"
    )
    assert feed.append(purge, T0)
    assert ids(read(feed, feed.join(10))) == []
    assert not feed.append(event(comment(5)), T0), "it was said before, and comes late"
    assert feed.append(event(comment(10)), T0)
    assert ids(read(feed, feed.join(10))) == [comment(10).id]


@pytest.mark.parametrize(("author", "looked_at"), [("user:7", 1), ('s/he "é"', 51)])
def test_a_purge_takes_only_comments_apart_that_may_be_the_author_s(author: str, looked_at: int) -> None:
    """A log has tens of thousands, and the event loop waits."""
    hers = msgspec.structs.replace(comment(50), author=Author(author, "she"))
    feed = new_feed([*(comment(n) for n in range(50)), hers])
    purge = Event(comment(90).id, b"{}", AUTHOR_PURGED, "author_purged", hers.id, author)
    with patch.object(Withdrawn, "holds", autospec=True, side_effect=Withdrawn.holds) as looks:
        feed.append(purge, T0)
    assert looks.call_count == looked_at
    assert ids(read(feed, feed.join(100))) == [comment(n).id for n in range(50)]


def test_a_restored_comment_s_text_goes_with_it_when_it_is_hidden_again_or_its_author_is_purged() -> None:
    hidden = Event(comment(30).id, b'{"id":"x"}', HIDDEN, "deleted", comment(1).id)
    purge = Event(comment(31).id, b'{"authorId":"x"}', AUTHOR_PURGED, "author_purged", comment(9).id, "guest:ann")
    for last in (hidden, purge, erasure(comment(32).id, comment(1).id)):
        feed = new_feed([comment(n) for n in range(3)])
        feed.append(Event(comment(10).id, b'{"id":"x"}', HIDDEN, "deleted", comment(1).id), T0)
        feed.append(Event(comment(11).id, event(comment(1)).data, RESTORED, "restored", comment(1).id), T0)
        feed.append(last, T0)
        feed.append(msgspec.structs.replace(purge, id=comment(40).id), T0)  # nothing is left to be blanked
        assert b"hello" not in feed.log.read(FeedOffset(0), 1 << 20)
        assert [len(feed.frame(each)) for each in feed.entries()][:3] == [len(feed.frame(feed.entry(0)))] * 3


def test_an_unknown_kind_is_counted_and_passed_on() -> None:
    feed = new_feed([comment(1)])
    end = feed.log.end
    assert feed.append(Event(comment(2).id, b'{"later":1}', "", "polled", after_id=comment(1).id, hidden_from_id=0), T0)
    (passed,) = events(feed.log.read(end, 1 << 20))
    assert (passed["event"], passed["data"]) == ("polled", '{"later":1}')
    assert feed.position.high == comment(2).id
    assert not feed.append(Event(comment(3).id, b"", "", after_id=comment(2).id, hidden_from_id=0), T0)
    assert feed.position.high == comment(3).id, "counted, and sent to nobody"


def test_a_hole_that_no_read_could_close_yet_is_reported_again() -> None:
    """A viewer's history is read when the feed has just begun: it is no proof for what its service has published."""
    feed = new_feed([comment(1)])
    read = Event(comment(5).id, event(comment(5)).data, after_id=comment(4).id)
    feed.append(read, T0)
    feed.missing_from = None
    feed.read_ended(comment(1).id, feed.read_begins(T0))
    assert feed.position.holes
    feed.append(event(comment(6), comment(5).id), T0)
    assert feed.missing_from is not None
    feed.read_ended(feed.missing_from, feed.read_begins(T0))
    assert not feed.position.holes


def test_a_hole_in_a_service_s_chain_is_reported_once_and_closed_by_reading() -> None:
    feed = new_feed([comment(1)])
    feed.append(event(comment(5), comment(4).id), T0)
    assert feed.missing_from is not None
    assert comment(1).id < feed.missing_from <= comment(2).id
    assert feed.position.holes
    feed.missing_from = None
    feed.append(event(comment(6), comment(5).id), T0)
    assert feed.missing_from is None, "the hole is known"
    up_to = feed.read_begins(T0)
    feed.append(event(comment(3), comment(2).id), T0)
    feed.read_ended(comment(2).id, up_to)
    assert feed.position.holes == []
    assert feed.position.claims().cover(comment(6).id)


def test_a_clock_that_is_ahead_claims_nothing_that_was_not_had() -> None:
    """The node's clock is an hour ahead of the ids."""
    talk = [comment(n, T0 + n) for n in range(4)]
    for seed in ([], talk[:1]):
        feed = Feed(LIMITS, chained(seed), 0, T0 + 3_600_000)
        for each in chained(talk)[len(seed) : 2]:
            feed.append(each, T0 + 3_600_000)
        claims = feed.position.claims()
        assert [claims.cover(c.id) for c in talk] == [True, True, False, False]


def test_after_hours_of_silence_positions_are_exact_again() -> None:
    feed = new_feed([comment(1)])
    later = comment(2, T0 + 7_200_000)
    feed.append(event(later, comment(1).id), T0 + 7_200_000)
    claims = feed.position.claims()
    assert (claims.cover(later.id), claims.cover(later.id + 1)) == (True, False)


def test_what_lies_in_a_spool_is_not_claimed_though_history_was_read() -> None:
    feed = new_feed([comment(1)])
    hidden = Event(comment(5).id, b"{}", after_id=comment(4).id, hidden_from_id=comment(3).id)
    feed.append(hidden, T0)
    up_to = feed.read_begins(T0)
    feed.append(event(comment(2), comment(1).id), T0)
    feed.read_ended(comment(2).id, up_to)
    assert feed.position.claims().cover(comment(2).id)
    assert not feed.position.claims().cover(comment(3).id)
    feed.promised(Promise(0, comment(3).id, comment(9).id))
    assert feed.position.holes == []
    assert feed.position.claims().cover(comment(3).id)


def gaps_in(stream: bytes) -> list[tuple[str, str]]:
    told = [json.loads(event["data"]) for event in events(stream) if event.get("event") == "gap"]
    return [(each["from"], each["to"]) for each in told if each["reason"] == "too_long_ago"]


A_GAP = [(format_id(comment(0, T0 - 9_000).id - 1), format_id(comment(0, T0 - 8_000).id))]


def feed_with_a_gap(before: int, behind: int) -> Feed:
    feed = new_feed([comment(n, T0 + n) for n in range(before)])
    feed.add_gap(comment(0, T0 - 9_000).id, comment(0, T0 - 8_000).id, T0)
    for n in range(before, before + behind):
        feed.append(event(comment(n, T0 + n)), T0)
    return feed


def test_a_gap_stands_in_the_log_and_claims_no_more_than_was_read() -> None:
    feed = feed_with_a_gap(3, 0)
    *_, last = events(feed.log.read(FeedOffset(0), 1 << 20))
    assert (last["event"], last["id"]) == ("gap", str(position_after(feed, 3)))


@given(st.integers(0, 8), st.integers(0, 8), st.integers(0, 10))
def test_a_joiner_gets_its_backfill_and_no_old_gap(before: int, behind: int, backfill: int) -> None:
    feed = feed_with_a_gap(before, behind)
    stream = read(feed, feed.join(backfill))
    expected = [comment(n, T0 + n).id for n in range(before + behind)]
    assert ids(stream) == expected[max(0, len(expected) - backfill) :]
    assert gaps_in(stream) == []


def test_what_stood_before_a_gap_can_still_be_erased() -> None:
    feed = feed_with_a_gap(3, 3)
    feed.append(erasure(comment(9).id, comment(3, T0 + 3).id), T0)
    assert comment(3, T0 + 3).id not in ids(read(feed, feed.join(10)))
    assert gaps_in(feed.log.read(FeedOffset(0), 1 << 20)) == A_GAP
