"""rms/feed/without_past.py: a feed that was opened without its past claims what was here, and no more, for each viewer.

tests/rms/feed/test_one_log.py plays the whole of it.
"""

from collections.abc import Sequence
from dataclasses import replace

from history.core.ids import first_id_at
from rms.feed.byte_log import FeedOffset
from rms.feed.editions import FilteredEdition
from rms.feed.entry import Attach
from rms.feed.event import Event
from rms.feed.feed import Feed
from rms.feed.position import KEPT_MS, LATE_MS, Position, parse_position
from rms.feed.resuming import NeedsHistory, Resuming
from rms.feed.without_past import WithoutPast
from tests.rms.feed.test_feed import LIMITS, new_feed, read
from tests.rms.feed.test_resuming import attached, last_position
from tests.rms.parts import T0, chained, comment, erasure, event, events, ids

SERVICE_BEGAN = first_id_at(T0 - 60_000)


def without_past(live: Sequence[Event] = (), now_ms: int = T0) -> Feed:
    feed = Feed(LIMITS, [], None, now_ms)
    for each in live:
        feed.append(each, now_ms)
    return feed


def talk_from(first: int, count: int, after_id: int) -> list[Event]:
    """Live events of a service, in a row"""
    comments = [comment(n, T0 + n) for n in range(first, first + count)]
    return [event(each, before) for each, before in zip(comments, [after_id, *(c.id for c in comments)], strict=False)]


def give_past(feed: Feed, past: Sequence[Event], from_id: int = 0, now_ms: int = T0) -> None:
    up_to = feed.read_begins(now_ms)
    for each in past:
        feed.append(each, now_ms)
    feed.past_is_read(from_id, up_to, now_ms)


def entered(feed: Feed, text: bytes) -> Attach[FeedOffset]:
    return attached(Resuming(feed).resume(parse_position(text.decode()), 5, T0))


def got(feed: Feed, attach: Attach[FeedOffset]) -> list[int]:
    """What a viewer reads that has entered with claims"""
    edition = FilteredEdition(feed, None, T0, 5, attach.claims)
    place = edition.attach(attach, T0)
    return ids(place.private + edition.log.read(place.offset, 1 << 20))


def test_who_came_new_waits_for_nothing_that_is_older() -> None:
    feed = without_past(talk_from(0, 1, SERVICE_BEGAN))
    text = feed.text_at(feed.log.end)
    assert text == feed.text()
    position = parse_position(text.decode())
    assert position == Position(first_id_at(T0 - LATE_MS), (comment(0, T0).id,))
    assert not position.holes
    assert position.sure_from >= first_id_at(T0 - LATE_MS)


def test_a_service_that_has_begun_a_moment_ago_may_have_said_something_before() -> None:
    feed = without_past(talk_from(0, 1, first_id_at(T0 - 1_000)))
    assert feed.position.holes == [first_id_at(T0 - LATE_MS)]


def test_who_comes_back_gets_the_rest_and_no_gap_however_long_it_was_quiet() -> None:
    feed = without_past(talk_from(0, 3, SERVICE_BEGAN))
    second = feed.text_at(feed.log.start_of(2))
    assert second is not None
    later_ms = T0 + LIMITS.log_age_ms_max
    found = attached(Resuming(feed).resume(parse_position(second.decode()), 5, later_ms))
    assert ids(read(feed, found)) == [comment(2, T0 + 2).id]
    assert b"event: gap" not in read(feed, found)
    assert last_position(found.private) == feed.position


def test_all_who_came_new_come_back_with_the_same_claims() -> None:
    feed = without_past(talk_from(0, 5, SERVICE_BEGAN))
    texts = [feed.text_at(feed.log.start_of(index)) for index in range(6)]
    claims = {entered(feed, text or b"").claims for text in texts}
    assert claims == {Position(first_id_at(T0 - LATE_MS))}


def test_who_comes_from_elsewhere_claims_what_it_has_and_what_is_here_and_not_what_lies_between() -> None:
    talk = [comment(n, T0 + n) for n in range(8)]
    elsewhere = new_feed(talk[:2]).position
    feed = without_past(talk_from(5, 2, talk[4].id))
    attach = attached(Resuming(feed).resume(elsewhere, 5, T0))
    claims = last_position(attach.private).claims()
    assert [claims.cover(each.id) for each in talk] == [True, True, False, False, False, True, True, False]
    feed.append(event(talk[7], talk[6].id), T0)
    edition = FilteredEdition(feed, None, T0, 5, attach.claims)
    claims = parse_position((edition.text_at(edition.log.end) or b"").decode()).claims()
    assert [claims.cover(each.id) for each in talk] == [True, True, False, False, False, True, True, True]
    give_past(feed, chained(talk[:5]))
    assert got(feed, attach) == [talk[n].id for n in (5, 6, 7, 2, 3, 4)]


def test_what_was_missed_since_the_feed_began_is_still_waited_for_when_the_past_is_there() -> None:
    """The past that is read may reach less far back than the feed has lasted."""
    talk = [comment(n, T0 + n * 1_000) for n in range(9)]
    feed = without_past([event(talk[0], SERVICE_BEGAN), event(talk[5], talk[4].id)])
    give_past(feed, chained(talk)[7:], talk[7].id)
    assert feed.complete_from <= talk[1].id
    assert feed.had.lowest_hole is not None
    assert feed.had.lowest_hole <= talk[1].id
    assert not feed.may_have_forgotten(talk[1].id, T0)
    up_to = feed.read_begins(T0)
    for each in chained(talk):
        feed.append(each, T0)
    feed.read_ended(talk[1].id, up_to)
    assert feed.had.lowest_hole is None


def test_when_the_past_is_there_all_get_a_position_without_a_hole() -> None:
    feed = without_past(talk_from(0, 2, first_id_at(T0 - 1_000)))
    end = feed.log.end
    give_past(feed, [])
    assert not feed.lacks_past
    (last,) = events(feed.log.read(end, 1 << 20))
    assert parse_position(last["id"]) == feed.position
    assert not feed.position.holes
    assert feed.held_from == 0


def test_who_comes_then_reads_no_position_of_those_who_came_new() -> None:
    """Those claim what it may lack, until it has read the whole log."""
    old = [comment(n, T0 - 5_000 + n) for n in range(4)]
    feed = without_past(talk_from(0, 3, old[3].id))
    give_past(feed, chained(old))
    elsewhere = new_feed(old[:1]).position
    attach = attached(Resuming(feed).resume(elsewhere, 5, T0))
    stream = read(feed, attach)
    assert sorted(ids(stream)) == sorted([*(each.id for each in old[1:]), *(feed.ids[:3])])
    had: set[int] = {old[0].id}
    for each in events(stream):
        had.update(ids(f"data: {each['data']}\n\n".encode()) if "data" in each else [])
        claims = parse_position(each["id"]).claims()
        assert {one for one in (*(c.id for c in old), *feed.ids[:3]) if claims.cover(one)} <= had


def test_what_came_live_and_is_forgotten_is_not_taken_for_the_past() -> None:
    feed = without_past(talk_from(0, 1, SERVICE_BEGAN))
    first = feed.ids[0]
    later_ms = T0 + 3 * LIMITS.dedupe_ms
    live = comment(0, later_ms)
    for n in range(40):  # so many parts of the memory
        feed.append(event(comment(n, later_ms + n * LIMITS.dedupe_ms // 20), 0), later_ms + n * LIMITS.dedupe_ms // 20)
    now_ms = later_ms + 2 * LIMITS.dedupe_ms
    assert feed.may_have_forgotten(first, now_ms)
    assert feed.had_live(first, now_ms)
    assert not feed.had_live(SERVICE_BEGAN, now_ms), "it never was here"
    assert not feed.had_live(live.id + (LIMITS.dedupe_ms << 18), now_ms)


def test_what_stands_beside_the_log_is_dropped_with_it() -> None:
    without = WithoutPast(T0)
    offsets = [FeedOffset(n) for n in range(0, 50, 10)]
    for offset in offsets:
        without.note(offset, b"%d" % offset)
    assert without.trimmed(offsets[2]) is without
    assert [without.text_at(offset) for offset in offsets] == [None, None, b"20", b"30", b"40"]
    without.end = offsets[3]
    assert without.trimmed(offsets[2]) is without
    assert without.trimmed(offsets[3]) is None


def test_who_waits_from_where() -> None:
    without = WithoutPast(T0)
    assert without.waits_from is None
    for each, lowest in ((5, 5), (7, 5), (3, 3)):
        without.wait_from(each)
        assert without.waits_from == lowest
    assert KEPT_MS > LATE_MS


def test_too_much_older_than_the_feed_is_a_gap() -> None:
    feed = without_past(talk_from(0, 1, SERVICE_BEGAN))
    oldest = Position(first_id_at(T0 - min(LIMITS.log_age_ms_max, KEPT_MS)))
    assert b"event: gap" not in read(feed, attached(Resuming(feed).resume(oldest, 5, T0)))
    older = Position(oldest.floor - 1)
    assert b'"reason":"history_unavailable"' in read(feed, attached(Resuming(feed).resume(older, 5, T0)))


def test_what_the_log_has_dropped_is_a_gap_for_those_who_lack_it_only() -> None:
    feed = Feed(replace(LIMITS, log_bytes_max=1, log_comments_min=2), [], None, T0)
    texts = []
    for each in talk_from(0, 5, SERVICE_BEGAN):
        feed.append(each, T0)
        texts.append(feed.text())
    never_here = comment(50, T0 + 50)
    feed.append(erasure(comment(40, T0 + 40).id, never_here.id, feed.ids[-1]), T0)
    assert [each - feed.ids[0] >> 16 for each in feed.ids] == [0, 36]
    for had, is_gap in ((1, True), (2, True), (3, False), (4, False)):
        private = entered(feed, texts[had]).private
        assert (b'"reason":"history_unavailable"' in private) is is_gap
    assert ids(entered(feed, texts[3]).private) == [comment(4, T0 + 4).id]


def test_as_many_as_one_viewer_is_sent_and_no_more() -> None:
    feed = without_past(talk_from(0, LIMITS.resume_events_max + 1, SERVICE_BEGAN))
    none, one = (feed.text_at(feed.log.start_of(index)) or b"" for index in (0, 1))
    assert b'"reason":"too_far_behind"' in entered(feed, none).private
    assert len(ids(entered(feed, one).private)) == LIMITS.resume_events_max


def test_who_comes_with_a_hole_reads_no_position_that_claims_it_before_it_is_filled() -> None:
    seed, hole, later_ms = comment(0, T0 - 6_000), comment(0, T0 - 5_000), T0 + 20_000
    talk = [comment(n, later_ms) for n in range(3)]
    live = [event(each, before) for each, before in zip(talk, [hole.id, talk[0].id, talk[1].id], strict=True)]
    elsewhere = new_feed([seed], seed.id)
    elsewhere.append(live[0], later_ms)
    assert elsewhere.position.holes
    feed = without_past(live, later_ms)
    assert feed.position.claims().cover(hole.id), "of one who came new"
    give_past(feed, [event(hole, seed.id)], hole.id, later_ms)
    found = Resuming(feed).resume(elsewhere.position, 5, later_ms)
    if isinstance(found, NeedsHistory):
        found = attached(Resuming(feed).resume(elsewhere.position, 5, later_ms, [event(hole, seed.id), *live]))
    stream = read(feed, found)
    assert sorted(ids(stream)) == [hole.id, talk[1].id, talk[2].id]
    had = False
    for each in events(stream):
        had = had or ("data" in each and ids(f"data: {each['data']}\n\n".encode()) == [hole.id])
        assert parse_position(each["id"]).claims().cover(hole.id) <= had
