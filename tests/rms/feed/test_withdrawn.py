"""rms/feed/withdrawn.py"""

import pytest

from history.core.stream_data import comment_data
from rms.feed.event import AUTHOR_PURGED, ERASED, HIDDEN, RESTORED, Event
from rms.feed.withdrawn import CHANGES_MAX, PURGES_MAX, Withdrawn, in_any_json
from tests.rms.parts import comment, event


def test_only_that_authors_comments_up_to_the_last_purge() -> None:
    withdrawn = Withdrawn()
    withdrawn.add("guest:ann", comment(5).id)
    withdrawn.add("guest:ann", comment(3).id)  # came late
    withdrawn.add("guest:bob", comment(9).id)
    held = [withdrawn.holds(comment(n).id, comment_data(comment(n))) for n in range(10)]
    assert held == [True] * 6 + [False] * 4


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"author":null}', b'{"author":{"id":7}}', b"{}"])
def test_what_names_no_author_is_shown(data: bytes) -> None:
    withdrawn = Withdrawn()
    withdrawn.add("guest:ann", comment(5).id)
    assert not withdrawn.holds(comment(1).id, data)


def test_the_oldest_of_too_many_is_forgotten() -> None:
    withdrawn = Withdrawn()
    withdrawn.add("guest:ann", comment(5).id)
    for number in range(PURGES_MAX - 1):
        withdrawn.add(f"guest:{number}", comment(5).id)
    assert withdrawn.holds(comment(1).id, comment_data(comment(1)))
    withdrawn.add("guest:one-more", comment(5).id)
    assert not withdrawn.holds(comment(1).id, comment_data(comment(1)))


COMMENT_ID = comment(5).id


def change(kind: str, number: int, comment_id: int = COMMENT_ID, data: bytes = b"{}") -> Event:
    """number: as in `comment`; larger ones came later"""
    return Event(comment(number).id, data, kind, kind, comment_id)


def test_the_last_of_an_authors_comments_is_purged_too() -> None:
    withdrawn = Withdrawn()
    withdrawn.add("guest:ann", COMMENT_ID)
    assert withdrawn.holds(COMMENT_ID, comment_data(comment(5)))
    assert not withdrawn.holds(comment(6).id, comment_data(comment(6)))


def test_what_was_changed_last_holds_in_whatever_order_it_comes() -> None:
    withdrawn, late = Withdrawn(), event(comment(5))
    assert not withdrawn.takes(late)
    assert withdrawn.change(change(HIDDEN, 10))
    assert withdrawn.takes(late), "the comment comes after the order that hides it"
    assert not withdrawn.takes(event(comment(6)))
    assert not withdrawn.change(change(RESTORED, 9)), "it was restored before it was hidden"
    assert withdrawn.takes(change(RESTORED, 9))
    assert withdrawn.change(change(RESTORED, 11))
    assert not withdrawn.takes(late)
    assert not withdrawn.takes(change(RESTORED, 11))
    assert not withdrawn.change(change(HIDDEN, 10))
    assert withdrawn.change(change(RESTORED, 11)), "told once more"


def test_nothing_comes_after_an_erasure() -> None:
    withdrawn = Withdrawn()
    assert withdrawn.change(change(ERASED, 10))
    for kind in (HIDDEN, RESTORED):
        assert not withdrawn.change(change(kind, 12))
    assert withdrawn.takes(event(comment(5)))
    assert withdrawn.change(change(ERASED, 12))
    assert not withdrawn.change(change(ERASED, 11)), "a later one was here"


def test_a_purged_comment_is_not_restored() -> None:
    withdrawn, text = Withdrawn(), comment_data(comment(5))
    withdrawn.add("guest:ann", COMMENT_ID)
    assert not withdrawn.change(change(RESTORED, 10, data=text))
    assert withdrawn.takes(change(RESTORED, 10, data=text))
    assert withdrawn.change(change(RESTORED, 10, comment(6).id, comment_data(comment(6))))
    assert withdrawn.change(change(HIDDEN, 9)), "what was not restored left nothing behind"


@pytest.mark.parametrize("kind", [HIDDEN, ERASED, AUTHOR_PURGED, "another"])
def test_what_brings_no_text_is_passed_on(kind: str) -> None:
    withdrawn, text = Withdrawn(), comment_data(comment(5))
    withdrawn.add("guest:ann", COMMENT_ID)
    withdrawn.change(change(ERASED, 10))
    assert not withdrawn.takes(change(kind, 9, data=text))


def test_of_too_many_changes_the_first_is_forgotten() -> None:
    withdrawn, first = Withdrawn(), event(comment(0))
    for number in range(CHANGES_MAX):
        withdrawn.change(change(HIDDEN, CHANGES_MAX + number, comment(number).id))
    assert withdrawn.takes(first)
    withdrawn.change(change(HIDDEN, 3 * CHANGES_MAX, comment(CHANGES_MAX).id))
    assert not withdrawn.takes(first)
    assert withdrawn.takes(event(comment(1)))


def test_an_author_that_json_may_write_in_two_ways_is_not_searched_for_in_text() -> None:
    assert in_any_json("guest:ann-1.b@c d_e") == b"guest:ann-1.b@c d_e"
    for author_id in ("", "zo\u00eb", 'a"b', "a\\b", "a/b", "a\n"):
        assert in_any_json(author_id) is None
