"""rms/feed/feed.py: whatever is late, doubled, erased or trimmed, each comment is in the log once, for all."""

import json

from hypothesis import assume, example, given
from hypothesis import strategies as st

from history.core.ids import format_id
from history.core.model import Comment, Erasure
from rms.feed.byte_log import FeedOffset
from rms.feed.feed import Attach, Feed, FeedLimits
from rms.feed.position import Position
from tests.rms.parts import T0, comment, events, ids

LIMITS = FeedLimits(
    log_bytes_max=1 << 20, log_age_ms_max=10_000, log_comments_min=5, resume_comments_max=100, dedupe_ms=60_000
)


def new_feed(seed: list[Comment] | None = None, complete_from: int = 0, limits: FeedLimits = LIMITS) -> Feed:
    return Feed(limits, seed or [], complete_from, T0)


def read(feed: Feed, attach: Attach[FeedOffset]) -> bytes:
    return attach.private + feed.log.read(attach.offset, 1 << 30)


def position_after(feed: Feed, count: int) -> Position:
    """Of a viewer that has read so many frames of the feed"""
    position = feed.entries[count - 1].position
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
    for c in talk[10:]:
        assert feed.append(c, T0)
    assert ids(read(feed, attach)) == [c.id for c in talk[7:]]
    assert attach.private == b""
    assert ids(read(feed, feed.join(backfill=0))) == []


def test_a_comment_is_in_the_log_once() -> None:
    feed = new_feed([comment(1)])
    assert not feed.append(comment(1), T0)
    assert feed.append(comment(2), T0)
    assert not feed.append(comment(2), T0 + LIMITS.dedupe_ms)
    assert len(feed) == 2


def test_a_comment_is_remembered_for_its_whole_time_however_much_comes_meanwhile() -> None:
    feed = new_feed([])
    for second in range(LIMITS.dedupe_ms // 1_000):
        assert feed.append(comment(second), T0 + second * 1_000)
    for second in range(LIMITS.dedupe_ms // 1_000):
        assert not feed.append(comment(second), T0 + LIMITS.dedupe_ms), second


def test_trimming_keeps_the_backfill_and_forgets_by_age_and_by_bytes() -> None:
    feed = new_feed()
    for n in range(30):
        feed.append(comment(n, T0 + n), T0 + n)
    feed.trim(T0 + LIMITS.log_age_ms_max + 20)
    assert len(feed) == 10  # those younger than the limit
    feed.trim(T0 + 10 * LIMITS.log_age_ms_max)
    assert len(feed) == LIMITS.log_comments_min
    assert ids(read(feed, feed.join(100))) == [comment(n, T0 + n).id for n in range(25, 30)]
    small = new_feed(limits=FeedLimits(1_000, 10_000, 2, 100, 60_000))
    for n in range(30):
        small.append(comment(n, T0 + n), T0 + n)
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
        feed.append(talk, now_ms)
        had.append(talk)
        for each in had:
            assert feed.may_have_forgotten(each.id, now_ms) or not feed.append(each, now_ms)


def test_one_wrong_clock_makes_nobody_late() -> None:
    feed = new_feed([comment(1), comment(2, T0 + 3_600_000)])
    assert not feed.may_have_forgotten(comment(3).id, T0 + 1)
    assert not new_feed([comment(1)]).may_have_forgotten(comment(2, T0 + 1).id, T0 + 3_600_000)
    assert not new_feed().may_have_forgotten(comment(1).id, T0 + 3_600_000)


@given(st.data())
def test_a_position_is_found_again_as_long_as_it_is_held(data: st.DataObject) -> None:
    feed = new_feed()
    talk = data.draw(talks())
    for c in talk:
        feed.append(c, c.created_at_ms)
    assume(len(feed))
    for entry in feed.entries:
        assert feed.position_at(entry.end) == entry.position
    assert feed.position_at(feed.log.base) is None or feed.log.base > 0
    if feed.log.base:
        assert feed.position_at(FeedOffset(feed.log.base - 1)) is None


def test_an_erased_comment_is_blank_for_those_who_come_and_told_to_those_who_are_here() -> None:
    feed = new_feed([comment(n) for n in range(3)])
    end = feed.log.end
    secret = comment(1)
    assert feed.erase(Erasure(comment(9).id, "v", secret.id), T0)
    assert not feed.erase(Erasure(comment(9).id, "v", secret.id), T0)
    (told,) = events(feed.log.read(end, 1 << 20))
    assert (told["event"], json.loads(told["data"])) == ("deleted", {"id": format_id(secret.id)})
    for_joiners = read(feed, feed.join(10))
    assert ids(for_joiners) == [comment(0).id, comment(2).id]
    assert b"hello" not in for_joiners.split(b"\n\n")[1]
    assert [event["id"] for event in events(for_joiners)] == [
        str(p) for p in (*(entry.position for entry in feed.entries[:3]), feed.position)
    ]


def test_an_erased_comment_never_comes_later() -> None:
    feed = new_feed()
    feed.erase(Erasure(comment(9).id, "v", comment(1).id), T0)
    assert not feed.append(comment(1), T0)
    assert feed.append(comment(2), T0)
    assert ids(read(feed, feed.join(10))) == [comment(2).id]


def gaps_in(stream: bytes) -> list[tuple[str, str]]:
    told = [json.loads(event["data"]) for event in events(stream) if event.get("event") == "gap"]
    return [(each["from"], each["to"]) for each in told if each["reason"] == "too_long_ago"]


A_GAP = [(format_id(comment(0, T0 - 9_000).id - 1), format_id(comment(0, T0 - 8_000).id))]


def feed_with_a_gap(before: int, behind: int) -> Feed:
    feed = new_feed([comment(n, T0 + n) for n in range(before)])
    feed.add_gap(comment(0, T0 - 9_000).id, comment(0, T0 - 8_000).id, T0)
    for n in range(before, before + behind):
        feed.append(comment(n, T0 + n), T0)
    return feed


def test_a_gap_stands_in_the_log_and_claims_no_more_than_was_read() -> None:
    feed = feed_with_a_gap(3, 0)
    *_, last = events(feed.log.read(FeedOffset(0), 1 << 20))
    assert (last["event"], last["id"]) == ("gap", str(position_after(feed, 3)))
    assert "id" not in next(events(feed_with_a_gap(0, 0).log.read(FeedOffset(0), 1 << 20)))


@given(st.integers(0, 8), st.integers(0, 8), st.integers(0, 10))
def test_a_joiner_gets_its_backfill_and_no_old_gap(before: int, behind: int, backfill: int) -> None:
    feed = feed_with_a_gap(before, behind)
    stream = read(feed, feed.join(backfill))
    expected = [comment(n, T0 + n).id for n in range(before + behind)]
    assert ids(stream) == expected[max(0, len(expected) - backfill) :]
    assert gaps_in(stream) == []


def test_what_stood_before_a_gap_can_still_be_erased() -> None:
    feed = feed_with_a_gap(3, 3)
    feed.erase(Erasure(comment(9).id, "v", comment(3, T0 + 3).id), T0)
    assert comment(3, T0 + 3).id not in ids(read(feed, feed.join(10)))
    assert gaps_in(feed.log.read(FeedOffset(0), 1 << 20)) == A_GAP
