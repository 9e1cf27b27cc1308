"""rms/feed/readable.py: a read finds what a service has published, but for what lies in its spool."""

from history.core.ids import ID_MAX, first_id_at
from rms.feed.event import Event
from rms.feed.readable import CLOSED_MS, Readable
from tests.rms.parts import T0, comment


def published(number: int, hidden_from_id: int | None) -> Event:
    return Event(comment(number).id, b"{}", hidden_from_id=hidden_from_id)


def test_up_to_what_was_published_and_not_beyond_what_is_hidden() -> None:
    readable = Readable({})
    assert (readable.live(0), readable.lowest_hidden) == (0, ID_MAX)
    readable.note(published(3, 0))
    readable.note(published(2, 0))
    assert readable.live(0) == comment(3).id
    assert readable.up_to([0], T0) == {0: comment(3).id}
    readable.note(published(5, comment(4).id))
    assert readable.lowest_hidden == comment(4).id
    assert readable.up_to([0], T0) == {0: comment(4).id - 1}
    readable.promised(0)
    assert readable.up_to([0], T0) == {0: comment(5).id}


def test_an_event_from_history_says_nothing() -> None:
    readable = Readable({0: comment(2).id})
    readable.note(published(3, None))
    assert (readable.live(0), readable.lowest_hidden) == (0, comment(2).id)
    readable.note(published(3, 0))
    assert (readable.live(0), readable.lowest_hidden) == (comment(3).id, ID_MAX)


def test_what_is_old_is_readable_though_nothing_was_published_since() -> None:
    now_ms = T0 + CLOSED_MS
    assert Readable({}).up_to([0, 5], now_ms) == {0: first_id_at(T0), 5: first_id_at(T0) | 5 << 6}
    assert Readable({5: 7}).up_to([5], now_ms) == {5: 6}
    assert Readable({}).up_to([], now_ms) == {}
