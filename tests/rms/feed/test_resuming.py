"""rms/feed/resuming.py: whatever is cut, late, doubled, trimmed or elsewhere, who comes back gets every comment
once."""

import json

from hypothesis import given
from hypothesis import strategies as st

from history.core.ids import format_id
from history.core.model import Erasure
from rms.feed.byte_log import FeedOffset
from rms.feed.feed import Attach
from rms.feed.position import WINDOW_MS, Position, parse_position
from rms.feed.resuming import NeedsHistory, Resuming
from tests.rms.feed.test_feed import (
    A_GAP,
    LIMITS,
    arrivals,
    feed_with_a_gap,
    gaps_in,
    new_feed,
    position_after,
    read,
    talks,
)
from tests.rms.parts import T0, comment, events, ids


def attached(found: Attach[FeedOffset] | NeedsHistory) -> Attach[FeedOffset]:
    assert isinstance(found, Attach)
    return found


def last_position(stream: bytes) -> Position:
    return parse_position([event["id"] for event in events(stream) if "id" in event][-1])


@given(st.data())
def test_resuming_on_the_same_feed_is_exact(data: st.DataObject) -> None:
    order = data.draw(arrivals(data.draw(talks()), WINDOW_MS - 1))
    feed = new_feed()
    for c in order:
        feed.append(c, T0)
    cut = data.draw(st.integers(1, len(order)))
    attach = attached(Resuming(feed).resume(position_after(feed, cut), 0, T0))
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
    found = Resuming(b).resume(position, 0, T0)
    if isinstance(found, NeedsHistory):
        found = attached(Resuming(b).resume(position, 0, T0, [c for c in published if c.id >= found.from_id]))
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
    found = Resuming(b).resume(position, 0, T0)
    if isinstance(found, NeedsHistory):
        found = attached(Resuming(b).resume(position, 0, T0, [c for c in talk if c.id >= found.from_id]))
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
        found = Resuming(feed).resume(last_position(stream), 0, T0)
        if isinstance(found, NeedsHistory):
            found = attached(Resuming(feed).resume(last_position(stream), 0, T0, talk))
        attach = found
    stream += read(feed, attach)
    assert set(ids(stream)) == {c.id for c in talk}


def test_a_viewer_far_behind_gets_what_history_has() -> None:
    talk = [comment(n, T0 + n * 1_000) for n in range(60)]
    feed = new_feed(talk[50:], complete_from=talk[50].id)
    position = Position(talk[9].id, 6, 0)
    needs = Resuming(feed).resume(position, 5, T0)
    assert isinstance(needs, NeedsHistory)
    history = [c for c in talk if c.id >= needs.from_id]
    before = new_feed(talk[:10])
    assert before.position is not None
    got = ids(read(feed, attached(Resuming(feed).resume(before.position, 5, T0, history))))
    assert got == [c.id for c in talk[10:]]


def test_a_viewer_too_far_behind_is_told_of_the_gap() -> None:
    talk = [comment(n, T0 + n * 1_000) for n in range(300)]
    feed = new_feed(talk[290:], complete_from=talk[290].id)
    before = new_feed(talk[:10])
    assert before.position is not None
    found = attached(Resuming(feed).resume(before.position, 3, T0, talk[5 : 5 + LIMITS.resume_comments_max + 1]))
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
    needs = Resuming(feed).resume(position, 0, T0)
    assert isinstance(needs, NeedsHistory)
    got = ids(read(feed, attached(Resuming(feed).resume(position, 0, T0, [c for c in talk if c.id >= needs.from_id]))))
    assert got == [c.id for c in talk[10:]]


def test_history_that_nobody_has_seen_goes_to_everybody() -> None:
    talk = [comment(n, T0 + n) for n in range(5)]
    feed = new_feed([talk[0], talk[4]])
    end = feed.log.end
    attached(Resuming(feed).resume(Position(talk[4].id, 0, 0), 0, T0, talk))
    assert ids(feed.log.read(end, 1 << 20)) == [c.id for c in talk[1:4]]


@given(st.data())
def test_resuming_across_erasures_loses_nothing_else(data: st.DataObject) -> None:
    talk = data.draw(talks())
    a, b = new_feed(), new_feed()
    erased: set[int] = set()
    for feed in (a, b):
        for c in data.draw(arrivals(talk, 1_000)):
            feed.append(c, T0)
    cut = data.draw(st.integers(1, len(talk)))
    has = {entry.id for entry in a.entries[:cut]}
    position = position_after(a, cut)
    for number, c in enumerate(data.draw(st.lists(st.sampled_from(talk), max_size=3, unique=True))):
        erased.add(c.id)
        b.erase(Erasure(comment(900 + number, T0 + 60_000).id, "v", c.id), T0)
    found = Resuming(b).resume(position, 0, T0)
    if isinstance(found, NeedsHistory):
        found = attached(
            Resuming(b).resume(position, 0, T0, [c for c in talk if c.id not in erased and c.id >= found.from_id])
        )
    stream = read(b, found)
    assert has | set(ids(stream)) | erased == {c.id for c in talk}
    assert not erased & set(ids(stream))
    told = {int(json.loads(e["data"])["id"], 16) for e in events(stream) if e.get("event") == "deleted"}
    assert told == erased


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
    found = Resuming(feed).resume(position, 0, T0)
    if isinstance(found, NeedsHistory):
        found = attached(Resuming(feed).resume(position, 0, T0, talk))
    assert gaps_in(read(feed, found)) == (A_GAP if has <= before else [])
    assert {c.id for c in talk if c.id > exact.high} <= set(ids(read(feed, found)))
    assert gaps_in(read(feed, Resuming(feed).gap(position, 3, "too_far_behind"))) == (A_GAP if has <= before else [])


@given(st.integers(0, 8), st.integers(0, 8), st.integers(0, 10))
def test_who_lacks_too_much_goes_on_like_a_new_one_and_is_told(before: int, behind: int, backfill: int) -> None:
    feed = feed_with_a_gap(before, behind)
    joiners = list(events(read(feed, feed.join(backfill))))
    told, *rest = events(read(feed, Resuming(feed).gap(None, backfill, "too_far_behind")))
    assert [event["data"] for event in rest] == [event["data"] for event in joiners]
    passed = before + behind - len(rest)
    assert ("id" in told) == (passed > 0)
    if passed:
        assert parse_position(told["id"]).high == comment(passed - 1, T0 + passed - 1).id


def test_an_answer_holds_only_as_long_as_the_log_stays_as_it_is() -> None:
    feed = new_feed([comment(n, T0 + n) for n in range(3)])
    resuming, position = Resuming(feed), position_after(feed, 1)
    assert resuming.resume(position, 0, T0) is resuming.resume(position, 0, T0)
    assert len(ids(read(feed, attached(resuming.resume(position, 0, T0))))) == 2
    feed.trim(T0 + LIMITS.log_age_ms_max + 10)
    feed.append(comment(3, T0 + 3), T0 + 3)
    assert len(ids(read(feed, attached(resuming.resume(position, 0, T0))))) == 3
    feed.erase(Erasure(comment(9).id, "v", comment(1, T0 + 1).id), T0)
    assert len(ids(read(feed, attached(resuming.resume(position, 0, T0))))) == 2
