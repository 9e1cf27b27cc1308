"""rms/feed/resuming.py: whatever is cut, late, doubled, trimmed or elsewhere, who comes back gets every comment
once."""

import json

from hypothesis import given
from hypothesis import strategies as st

from history.core.ids import format_id
from history.core.model import Comment
from rms.feed.entry import Attach
from rms.feed.event import Event
from rms.feed.feed import Feed
from rms.feed.position import Position, parse_position
from rms.feed.resuming import OUTCOMES_BYTES_MAX, NeedsHistory, Resuming
from rms.feed.sse import unchunked
from tests.rms.feed.test_feed import A_GAP, LIMITS, feed_with_a_gap, gaps_in, new_feed, position_after, read
from tests.rms.parts import T0, chained, comment, erasure, event, events, ids


@st.composite
def talks(draw: st.DrawFn) -> list[Comment]:
    """Comments of three services over some seconds, in the order of their ids"""
    at, talk = T0, []
    for number, step in enumerate(draw(st.lists(st.integers(0, 800), min_size=1, max_size=40))):
        at += step
        talk.append(comment(draw(st.integers(0, 2)) << 6 | number, at))
    return sorted(talk, key=lambda c: c.id)


@st.composite
def orders(draw: st.DrawFn, talk: list[Comment], late_ms_max: int) -> list[Event]:
    """An order of arrival in which each service's events keep theirs, and one is late beside the others"""
    late_ms = [draw(st.integers(0, late_ms_max)) for _ in range(3)]
    services = {service: [c for c in talk if c.id >> 6 & 1023 == service] for service in range(3)}
    arrived = sorted(talk, key=lambda c: (c.created_at_ms + late_ms[c.id >> 6 & 1023], c.id))
    assert all([c for c in arrived if c in some] == some for some in services.values())
    return chained(arrived)


def filled(order: list[Event]) -> Feed:
    feed = new_feed()
    for each in order:
        feed.append(each, T0)
    return feed


def attached(found: Attach | NeedsHistory) -> Attach:  # type: ignore[type-arg]
    assert isinstance(found, Attach)
    return found


def resumed(feed: Feed, position: Position, history: list[Event]) -> Attach:  # type: ignore[type-arg]
    found = Resuming(feed).resume(position, 0, T0)
    if isinstance(found, NeedsHistory):
        from_id = found.from_id
        found = Resuming(feed).resume(position, 0, T0, [each for each in history if each.id >= from_id])
    return attached(found)


def last_position(stream: bytes) -> Position:
    return parse_position([each["id"] for each in events(stream) if "id" in each][-1])


@given(st.data())
def test_resuming_on_the_same_feed_is_exact(data: st.DataObject) -> None:
    order = data.draw(orders(data.draw(talks()), 60_000))
    feed = filled(order)
    cut = data.draw(st.integers(1, len(order)))
    attach = attached(Resuming(feed).resume(position_after(feed, cut), 0, T0))
    assert ids(read(feed, attach)) == [each.id for each in order[cut:]]


@given(st.data())
def test_resuming_on_another_feed_is_exact_however_late_one_service_was(data: st.DataObject) -> None:
    talk = data.draw(talks())
    here, there = data.draw(orders(talk, 60_000)), data.draw(orders(talk, 60_000))
    cut = data.draw(st.integers(1, len(here)))
    position = position_after(filled(here[:cut]), cut)
    has = {each.id for each in here[:cut]}
    # The other node has got some of it by now, and history has all that was published.
    arrived = data.draw(st.integers(0, len(there)))
    b = filled(there[:arrived])
    published = sorted({each.id: each for each in (*here[:cut], *there[:arrived])}.values(), key=lambda each: each.id)
    attach = resumed(b, position, published)
    for each in there[arrived:]:
        b.append(each, T0)
    assert attach.claims is None
    got = ids(read(b, attach))
    assert len(got) == len(set(got))
    assert set(got) == {c.id for c in talk} - has


@given(st.data())
def test_a_feed_opened_from_history_takes_over(data: st.DataObject) -> None:
    """The viewers' node has died; another one opens the video for them, with a seed that may be short."""
    talk = data.draw(talks())
    order = data.draw(orders(talk, 2_000))
    cut = data.draw(st.integers(1, len(order)))
    has = {each.id for each in order[:cut]}
    seed = talk[-data.draw(st.integers(1, len(talk))) :]
    b = new_feed(seed, complete_from=0 if len(seed) == len(talk) else seed[0].id)
    got = ids(read(b, resumed(b, position_after(filled(order), cut), chained(talk))))
    assert len(got) == len(set(got))
    assert set(got) == {c.id for c in talk} - has


@given(st.data())
def test_any_number_of_cuts_and_changes_of_the_node(data: st.DataObject) -> None:
    talk = data.draw(talks())
    feeds = [filled(data.draw(orders(talk, 1_000))) for _ in range(2)]
    stream = b""
    feed, attach = feeds[0], feeds[0].join(backfill=len(talk))
    for _ in range(4):
        blocks = unchunked(read(feed, attach)).split(b"\n\n")[:-1]
        keep = data.draw(st.integers(0, len(blocks)))
        stream += b"".join(block + b"\n\n" for block in blocks[:keep])
        if stream:
            feed = data.draw(st.sampled_from(feeds))
            attach = resumed(feed, last_position(stream), chained(talk))
    stream += unchunked(read(feed, attach))
    assert sorted(ids(stream)) == [c.id for c in talk]


def test_a_viewer_far_behind_gets_what_history_has() -> None:
    talk = [comment(n, T0 + n * 1_000) for n in range(60)]
    feed = new_feed(talk[50:], complete_from=talk[50].id)
    got = ids(read(feed, resumed(feed, new_feed(talk[:10]).position, chained(talk))))
    assert got == [c.id for c in talk[10:]]


def test_a_viewer_too_far_behind_is_sent_a_gap() -> None:
    talk = [comment(n, T0 + n * 1_000) for n in range(63)]
    few = LIMITS.__class__(1 << 20, 10_000, 5, 30, 660_000)
    feed = new_feed(talk[50:], complete_from=talk[50].id, limits=few)
    found = attached(Resuming(feed).resume(new_feed(talk[:10]).position, 3, T0, chained(talk)[5 : 5 + 31]))
    first, *rest = events(read(feed, found))
    assert first["event"] == "gap"
    assert parse_position(first["id"]).high == talk[59].id
    assert json.loads(first["data"]) == {
        "from": format_id(talk[9].id),
        "to": format_id(talk[60].id),
        "reason": "too_far_behind",
    }
    assert len(rest) == 3


def test_a_bare_comment_id_gets_what_is_not_surely_older() -> None:
    talk = [comment(n, T0 + n * 1_000) for n in range(20)]
    feed = new_feed(talk)
    got = ids(read(feed, resumed(feed, parse_position(format_id(talk[15].id)), chained(talk))))
    assert got == [c.id for c in talk[16:]]


def test_history_that_nobody_has_seen_goes_to_everybody() -> None:
    talk = [comment(n, T0 + n) for n in range(5)]
    feed = new_feed([talk[0], talk[4]])
    end = feed.log.end
    attached(Resuming(feed).resume(Position(0, (talk[4].id,)), 0, T0, chained(talk)))
    assert ids(feed.log.read(end, 1 << 20)) == [c.id for c in talk[1:4]]


def test_who_has_more_than_the_feed_enters_with_claims() -> None:
    """The store is away: what the viewer has lies in a spool, and this node has never got it."""
    talk = [comment(n, T0 + n) for n in range(6)]
    feed = new_feed(talk[:3])
    ahead = new_feed(talk[:5]).position
    found = resumed(feed, ahead, chained(talk[:3]))
    assert found.claims == ahead
    assert read(feed, found) == b""
    assert resumed(new_feed(talk), ahead, []).claims is None


def test_a_hole_that_history_can_not_fill_yet_is_filled_when_it_can_also_in_a_younger_feed() -> None:
    talk = [comment(n, T0 + n * 1_000) for n in range(60)]
    old = new_feed(talk[:5])
    old.append(event(talk[10], talk[9].id), T0)
    feed = new_feed(talk[20:], complete_from=talk[20].id)
    readable = [each for each in chained(talk) if each.id != talk[7].id]
    attach = resumed(feed, old.position, readable)
    assert not feed.may_have_forgotten(talk[7].id, T0)
    assert feed.append(event(talk[7], talk[6].id), T0)
    assert sorted(ids(read(feed, attach))) == [c.id for n, c in enumerate(talk) if n not in (0, 1, 2, 3, 4, 10)]


def test_while_the_past_is_still_to_be_read_a_viewer_waits_with_what_it_has() -> None:
    talk = [comment(n, T0 + n) for n in range(4)]
    feed = Feed(LIMITS, [], None, T0)
    feed.append(event(talk[3], talk[2].id), T0)
    attach = attached(Resuming(feed).resume(new_feed(talk[:2]).position, 0, T0))
    assert ids(read(feed, attach)) == [talk[3].id]
    assert attach.claims is not None


@given(st.data())
def test_resuming_across_erasures_loses_nothing_else(data: st.DataObject) -> None:
    talk = data.draw(talks())
    a, b = (filled(data.draw(orders(talk, 1_000))) for _ in range(2))
    erased: set[int] = set()
    cut = data.draw(st.integers(1, len(talk)))
    has = set(a.ids[:cut])
    position = position_after(a, cut)
    for number, c in enumerate(data.draw(st.lists(st.sampled_from(talk), max_size=3, unique=True))):
        erased.add(c.id)
        b.append(erasure(comment(900 + number, T0 + 60_000).id, c.id), T0)
    stream = read(b, resumed(b, position, [each for each in chained(talk) if each.id not in erased]))
    assert set(ids(stream)) == {c.id for c in talk} - erased - has
    told = {int(json.loads(e["data"])["id"], 16) for e in events(stream) if e.get("event") == "deleted"}
    assert told == erased


@given(st.integers(1, 8), st.integers(0, 8), st.data())
def test_who_resumes_from_before_a_gap_is_sent_it_also_when_the_log_has_forgotten_it(
    before: int, behind: int, data: st.DataObject
) -> None:
    feed = feed_with_a_gap(before, behind)
    has = data.draw(st.integers(1, before + behind))
    exact = position_after(feed, has if has <= before else has + 1)
    if data.draw(st.booleans()):
        for n in range(40, 50):
            feed.append(event(comment(n, T0 + n)), T0 + 60_000)
        feed.trim(T0 + 120_000)
        assert feed.log.base > 0
    position = data.draw(st.sampled_from([exact, parse_position(format_id(exact.high))]))
    talk = [comment(n, T0 + n) for n in (*range(before + behind), *range(40, 50)) if n < 40 or feed.log.base]
    stream = read(feed, resumed(feed, position, chained(talk)))
    assert gaps_in(stream) == (A_GAP if has <= before else [])
    assert ids(stream) == [c.id for c in talk if c.id > exact.high]
    assert gaps_in(read(feed, Resuming(feed).gap(position, 3, "too_far_behind"))) == (A_GAP if has <= before else [])


@given(st.integers(0, 8), st.integers(0, 8), st.integers(0, 10))
def test_who_lacks_too_much_goes_on_like_a_new_one_and_is_sent_a_gap(before: int, behind: int, backfill: int) -> None:
    feed = feed_with_a_gap(before, behind)
    joiners = list(events(read(feed, feed.join(backfill))))
    told, *rest = events(read(feed, Resuming(feed).gap(None, backfill, "too_far_behind")))
    assert [each.get("data") for each in rest] == [each.get("data") for each in joiners]
    assert "id" in told


def test_an_outcome_holds_only_as_long_as_the_log_stays_as_it_is() -> None:
    feed = new_feed([comment(n, T0 + n) for n in range(3)])
    resuming, position = Resuming(feed), position_after(feed, 1)
    assert resuming.resume(position, 0, T0) is resuming.resume(position, 0, T0)
    assert len(ids(read(feed, attached(resuming.resume(position, 0, T0))))) == 2
    feed.trim(T0 + LIMITS.log_age_ms_max + 10)
    feed.append(event(comment(3, T0 + 3), comment(2, T0 + 2).id), T0 + 3)
    assert len(ids(read(feed, attached(resuming.resume(position, 0, T0))))) == 3
    feed.append(erasure(comment(9).id, comment(1, T0 + 1).id), T0)
    assert len(ids(read(feed, attached(resuming.resume(position, 0, T0))))) == 2


def test_what_was_erased_while_history_was_read_is_not_sent() -> None:
    talk = [comment(n, T0 - 60_000 + n) for n in range(3)]
    feed = new_feed([comment(9)], comment(9).id)
    position = Position(talk[0].id, (talk[0].id,))
    assert isinstance(Resuming(feed).resume(position, 5, T0), NeedsHistory)
    history = [*chained(talk), event(comment(9))]  # read before the erasure
    feed.append(erasure(comment(10).id, talk[1].id), T0)
    attach = attached(Resuming(feed).resume(position, 5, T0, history))
    assert ids(attach.private) == [talk[2].id]


def test_what_many_who_come_back_have_got_is_kept_up_to_some_bytes_only() -> None:
    feed = new_feed([comment(n, T0 + n, message="long " * 2_000) for n in range(50)])
    resuming, last, got = Resuming(feed), feed.ids[-1], 0
    for number in range(20):  # each has but the last one, and has been somewhere else before
        position = Position(feed.ids[0] - (number + 1 << 16), (), ((last, last),))
        found = resuming.resume(position, 0, T0 + 50, [])
        assert isinstance(found, Attach)
        got = len(found.private)
        assert got > 400_000
    kept = sum(len(each.private) for each in resuming._outcomes.values() if isinstance(each, Attach))
    assert kept <= OUTCOMES_BYTES_MAX + got
