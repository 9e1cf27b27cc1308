"""rms/feed/withdrawn.py"""

import pytest

from history.core.stream_data import comment_data
from rms.feed.withdrawn import PURGES_MAX, Withdrawn
from tests.rms.parts import comment


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
