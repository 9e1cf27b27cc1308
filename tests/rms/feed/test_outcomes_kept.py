"""rms/feed/resuming.py: what is kept for one position is given to no other, and not for too long"""

from rms.feed.resuming import NeedsHistory, Resuming
from tests.rms.feed.test_feed import LIMITS, new_feed, position_after, read
from tests.rms.feed.test_resuming import attached
from tests.rms.parts import T0, chained, comment, event, ids


def test_who_comes_after_a_trim_enters_no_place_that_is_gone() -> None:
    talk = [comment(n, T0 + n) for n in range(30)]
    feed = new_feed(talk)
    resuming, position = Resuming(feed), position_after(feed, 3)
    assert attached(resuming.resume(position, 0, T0)).offset < feed.log.start_of(20)
    feed.trim(T0 + 10 * LIMITS.log_age_ms_max)
    assert feed.log.base > 0
    found = resuming.resume(position, 0, T0)
    assert isinstance(found, NeedsHistory)
    attach = attached(resuming.resume(position, 0, T0, [each for each in chained(talk) if each.id >= found.from_id]))
    assert ids(read(feed, attach)) == [each.id for each in talk[3:]]


def test_what_is_kept_is_kept_again_when_the_log_has_changed() -> None:
    feed = new_feed([comment(n, T0 + n) for n in range(3)])
    resuming, position = Resuming(feed), position_after(feed, 1)
    for number in (3, 4):
        assert resuming.resume(position, 0, T0) is resuming.resume(position, 0, T0)
        feed.append(event(comment(number, T0 + number), comment(number - 1, T0 + number - 1).id), T0)


def test_with_history_it_is_another_question() -> None:
    talk = [comment(n, T0 + n * 1_000) for n in range(60)]
    feed = new_feed(talk[50:], complete_from=talk[50].id)
    resuming, position = Resuming(feed), new_feed(talk[:10]).position
    found = resuming.resume(position, 0, T0)
    assert isinstance(found, NeedsHistory)
    assert resuming.resume(position, 0, T0) is found
    history = [each for each in chained(talk) if each.id >= found.from_id]
    assert ids(read(feed, attached(resuming.resume(position, 0, T0, history)))) == [each.id for each in talk[10:]]


def test_who_wants_another_backfill_gets_it() -> None:
    talk = [comment(n, T0 + n * 1_000) for n in range(150)]
    feed = new_feed(talk[100:], complete_from=talk[100].id)
    resuming, position = Resuming(feed), new_feed(talk[:10]).position
    too_much = chained(talk)[: LIMITS.resume_events_max + 1]
    got = [ids(read(feed, attached(resuming.resume(position, count, T0, too_much)))) for count in (3, 5, 3)]
    assert [len(each) for each in got] == [3, 5, 3]
