"""rms/feed.py: whatever is cut, late, doubled, trimmed or elsewhere, a viewer gets every comment once."""

import json

from hypothesis import assume, given
from hypothesis import strategies as st

from history.ids import format_id
from history.model import Comment, Erasure
from rms.feed import Attach, Feed, FeedLimits, NeedsHistory
from rms.position import WINDOW_MS, Position, parse_position
from tests.rms.parts import T0, comment, events, ids

LIMITS = FeedLimits(
    log_bytes_max=1 << 20, log_age_ms_max=10_000, log_comments_min=5, resume_comments_max=100, dedupe_ms=60_000
)


def new_feed(seed: list[Comment] | None = None, complete_from: int = 0, limits: FeedLimits = LIMITS) -> Feed:
    return Feed(limits, seed or [], complete_from, T0)


def read(feed: Feed, attach: Attach) -> bytes:
    return attach.private + feed.log.read(attach.offset, 1 << 30)


def attached(found: Attach | NeedsHistory) -> Attach:
    assert isinstance(found, Attach)
    return found


def position_after(feed: Feed, count: int) -> Position:
    """Of a viewer that has read so many frames of the feed"""
    position = feed._entries[count - 1].position
    assert position is not None
    return position


def last_position(stream: bytes) -> Position:
    return parse_position([event["id"] for event in events(stream) if "id" in event][-1])


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


@given(st.data())
def test_resuming_on_the_same_feed_is_exact(data: st.DataObject) -> None:
    order = data.draw(arrivals(data.draw(talks()), WINDOW_MS - 1))
    feed = new_feed()
    for c in order:
        feed.append(c, T0)
    cut = data.draw(st.integers(1, len(order)))
    attach = attached(feed.resume(position_after(feed, cut), 0, T0))
    assert ids(read(feed, attach)) == [c.id for c in order[cut:]]


@given(st.data())
def test_resuming_on_another_feed_loses_nothing(data: st.DataObject) -> None:
    talk = data.draw(talks())
    here = data.draw(arrivals(talk, 2_000))
    there = data.draw(arrivals(talk, 2_000))
    a, b = new_feed(), new_feed()
    for c in here:
        a.append(c, T0)
    cut = data.draw(st.integers(1, len(here)))
    has = {c.id for c in here[:cut]}
    # the other node has got some of it by now, and history has all that was published
    arrived = data.draw(st.integers(0, len(there)))
    for c in there[:arrived]:
        b.append(c, T0)
    published = sorted({*here[:cut], *there[:arrived]}, key=lambda c: c.id)
    position = position_after(a, cut)
    found = b.resume(position, 0, T0)
    if isinstance(found, NeedsHistory):
        found = attached(b.resume(position, 0, T0, [c for c in published if c.id >= found.from_id]))
    for c in there[arrived:]:
        b.append(c, T0)
    got = ids(read(b, found))
    assert has | set(got) == {c.id for c in talk}
    assert len(got) == len(set(got))
    lacking = {c.id for c in published if c.id <= position.high} - has
    if len(lacking) <= 2 and has <= {c.id for c in there[:arrived]}:
        assert not has & set(got), "nothing is sent again when what lacks can be told"


@given(st.data())
def test_a_feed_opened_from_history_takes_over(data: st.DataObject) -> None:
    """The viewers' node has died; another one opens the video for them, with a seed that may be short."""
    talk = data.draw(talks())
    order = data.draw(arrivals(talk, 2_000))
    a = new_feed()
    for c in order:
        a.append(c, T0)
    cut = data.draw(st.integers(1, len(order)))
    has = {c.id for c in order[:cut]}
    seed = talk[-data.draw(st.integers(1, len(talk))) :]
    b = new_feed(seed, complete_from=0 if len(seed) == len(talk) else seed[0].id)
    position = position_after(a, cut)
    found = b.resume(position, 0, T0)
    if isinstance(found, NeedsHistory):
        found = attached(b.resume(position, 0, T0, [c for c in talk if c.id >= found.from_id]))
    got = ids(read(b, found))
    assert has | set(got) == {c.id for c in talk}
    assert len(got) == len(set(got))
    if len({c.id for c in talk if c.id <= position.high} - has) <= 2:
        assert not has & set(got)


@given(st.data())
def test_any_number_of_cuts_and_changes_of_the_node(data: st.DataObject) -> None:
    talk = data.draw(talks())
    feeds = [new_feed(), new_feed()]
    orders = [data.draw(arrivals(talk, 1_000)) for _ in feeds]
    for feed, order in zip(feeds, orders, strict=True):
        for c in order:
            feed.append(c, T0)
    stream = b""
    attach = feeds[0].join(backfill=len(talk))
    feed = feeds[0]
    for _ in range(4):
        seen = read(feed, attach)
        blocks = seen.split(b"\n\n")[:-1]
        keep = data.draw(st.integers(0, len(blocks)))
        stream += b"".join(block + b"\n\n" for block in blocks[:keep])
        if not stream:
            continue
        feed = data.draw(st.sampled_from(feeds))
        found = feed.resume(last_position(stream), 0, T0)
        if isinstance(found, NeedsHistory):
            found = attached(feed.resume(last_position(stream), 0, T0, talk))
        attach = found
    stream += read(feed, attach)
    assert set(ids(stream)) == {c.id for c in talk}


def test_a_viewer_far_behind_gets_what_history_has() -> None:
    talk = [comment(n, T0 + n * 1_000) for n in range(60)]
    feed = new_feed(talk[50:], complete_from=talk[50].id)
    position = Position(talk[9].id, 6, 0)
    needs = feed.resume(position, 5, T0)
    assert isinstance(needs, NeedsHistory)
    history = [c for c in talk if c.id >= needs.from_id]
    before = new_feed(talk[:10])
    assert before.position is not None
    got = ids(read(feed, attached(feed.resume(before.position, 5, T0, history))))
    assert got == [c.id for c in talk[10:]]


def test_a_viewer_too_far_behind_is_told_of_the_gap() -> None:
    talk = [comment(n, T0 + n * 1_000) for n in range(300)]
    feed = new_feed(talk[290:], complete_from=talk[290].id)
    before = new_feed(talk[:10])
    assert before.position is not None
    found = attached(feed.resume(before.position, 3, T0, talk[5 : 5 + LIMITS.resume_comments_max + 1]))
    first, *rest = events(read(feed, found))
    assert first["event"] == "gap"
    assert parse_position(first["id"]).high == talk[296].id
    assert json.loads(first["data"]) == {
        "from": format_id(talk[9].id),
        "to": format_id(talk[297].id),
        "reason": "too_far_behind",
    }
    assert len(rest) == 3


def test_a_bare_comment_id_gets_its_window_again() -> None:
    talk = [comment(n, T0 + n * 1_000) for n in range(20)]
    feed = new_feed(talk)
    position = parse_position(format_id(talk[15].id))
    needs = feed.resume(position, 0, T0)
    assert isinstance(needs, NeedsHistory)
    got = ids(read(feed, attached(feed.resume(position, 0, T0, [c for c in talk if c.id >= needs.from_id]))))
    assert got == [c.id for c in talk[10:]]


def test_history_that_nobody_has_seen_goes_to_everybody() -> None:
    talk = [comment(n, T0 + n) for n in range(5)]
    feed = new_feed([talk[0], talk[4]])
    end = feed.log.end
    attached(feed.resume(Position(talk[4].id, 0, 0), 0, T0, talk))
    assert ids(feed.log.read(end, 1 << 20)) == [c.id for c in talk[1:4]]


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


@given(st.data())
def test_a_position_is_found_again_as_long_as_it_is_held(data: st.DataObject) -> None:
    feed = new_feed()
    talk = data.draw(talks())
    for c in talk:
        feed.append(c, c.created_at_ms)
    assume(len(feed))
    for entry in feed._entries:
        assert feed.position_at(entry.end) == entry.position
    assert feed.position_at(feed.log.base) is None or feed.log.base > 0
    if feed.log.base:
        assert feed.position_at(feed.log.base - 1) is None


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
        str(p) for p in (*(entry.position for entry in feed._entries[:3]), feed.position)
    ]


def test_an_erased_comment_never_comes_later() -> None:
    feed = new_feed()
    feed.erase(Erasure(comment(9).id, "v", comment(1).id), T0)
    assert not feed.append(comment(1), T0)
    assert feed.append(comment(2), T0)
    assert ids(read(feed, feed.join(10))) == [comment(2).id]


@given(st.data())
def test_resuming_across_erasures_loses_nothing_else(data: st.DataObject) -> None:
    talk = data.draw(talks())
    a, b = new_feed(), new_feed()
    erased: set[int] = set()
    for feed in (a, b):
        for c in data.draw(arrivals(talk, 1_000)):
            feed.append(c, T0)
    cut = data.draw(st.integers(1, len(talk)))
    has = {entry.id for entry in a._entries[:cut]}
    position = position_after(a, cut)
    for number, c in enumerate(data.draw(st.lists(st.sampled_from(talk), max_size=3, unique=True))):
        erased.add(c.id)
        b.erase(Erasure(comment(900 + number, T0 + 60_000).id, "v", c.id), T0)
    found = b.resume(position, 0, T0)
    if isinstance(found, NeedsHistory):
        found = attached(b.resume(position, 0, T0, [c for c in talk if c.id not in erased and c.id >= found.from_id]))
    stream = read(b, found)
    assert has | set(ids(stream)) | erased == {c.id for c in talk}
    assert not erased & set(ids(stream))
    told = {int(json.loads(e["data"])["id"], 16) for e in events(stream) if e.get("event") == "deleted"}
    assert told == erased


def gaps_in(stream: bytes) -> list[tuple[str, str]]:
    told = [json.loads(event["data"]) for event in events(stream) if event.get("event") == "gap"]
    return [(each["from"], each["to"]) for each in told if each["reason"] == "too_long_ago"]


A_GAP = [(format_id(comment(0, T0 - 9_000).id - 1), format_id(comment(0, T0 - 8_000).id))]


def feed_with_a_gap(before: int, behind: int) -> Feed:
    feed = new_feed([comment(n, T0 + n) for n in range(before)])
    feed.forgo(comment(0, T0 - 9_000).id, comment(0, T0 - 8_000).id, T0)
    for n in range(before, before + behind):
        feed.append(comment(n, T0 + n), T0)
    return feed


def test_a_gap_stands_in_the_log_and_claims_no_more_than_was_read() -> None:
    feed = feed_with_a_gap(3, 0)
    *_, last = events(feed.log.read(0, 1 << 20))
    assert (last["event"], last["id"]) == ("gap", str(position_after(feed, 3)))
    assert "id" not in next(events(feed_with_a_gap(0, 0).log.read(0, 1 << 20)))


@given(st.integers(1, 8), st.integers(0, 8), st.data())
def test_who_resumes_from_before_a_gap_is_told_of_it_also_when_the_log_has_forgotten_it(
    before: int, behind: int, data: st.DataObject
) -> None:
    feed = feed_with_a_gap(before, behind)
    has = data.draw(st.integers(1, before + behind))
    exact = position_after(feed, has if has <= before else has + 1)
    if data.draw(st.booleans()):
        for n in range(100, 110):
            feed.append(comment(n, T0 + n), T0 + 60_000)
        feed.trim(T0 + 120_000)
        assert feed.log.base > 0
    position = data.draw(st.sampled_from([exact, Position(exact.high, 0, 0)]))
    talk = [comment(n, T0 + n) for n in (*range(before + behind), *range(100, 110)) if n < 100 or feed.log.base]
    found = feed.resume(position, 0, T0)
    if isinstance(found, NeedsHistory):
        found = attached(feed.resume(position, 0, T0, talk))
    assert gaps_in(read(feed, found)) == (A_GAP if has <= before else [])
    assert {c.id for c in talk if c.id > exact.high} <= set(ids(read(feed, found)))
    assert gaps_in(read(feed, feed.gap(position, 3, "too_far_behind"))) == (A_GAP if has <= before else [])


@given(st.integers(0, 8), st.integers(0, 8), st.integers(0, 10))
def test_a_joiner_gets_its_backfill_and_no_old_gap(before: int, behind: int, backfill: int) -> None:
    feed = feed_with_a_gap(before, behind)
    stream = read(feed, feed.join(backfill))
    expected = [comment(n, T0 + n).id for n in range(before + behind)]
    assert ids(stream) == expected[max(0, len(expected) - backfill) :]
    assert gaps_in(stream) == []
    told, *rest = events(read(feed, feed.gap(None, backfill, "too_far_behind")))
    assert [event["data"] for event in rest] == [event["data"] for event in events(stream)]
    passed = len(expected) - len(rest)
    assert ("id" in told) == (passed > 0)
    if passed:
        assert parse_position(told["id"]).high == expected[passed - 1]


def test_what_stood_before_a_gap_can_still_be_erased() -> None:
    feed = feed_with_a_gap(3, 3)
    feed.erase(Erasure(comment(9).id, "v", comment(3, T0 + 3).id), T0)
    assert comment(3, T0 + 3).id not in ids(read(feed, feed.join(10)))
    assert gaps_in(feed.log.read(0, 1 << 20)) == A_GAP
