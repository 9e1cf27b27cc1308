"""history/core/stream_data.py: whatever an event contains, its data is one line that every client reads."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from history.core.model import ERASED, Author, Change, Comment, Gone, comment_json, withdrawn_json
from history.core.stream_data import comment_data, name_and_data

# Everything that some client takes for a line's end, and what browsers or terminals trip over
FORBIDDEN = [*map(chr, range(0x20)), "\x7f", *map(chr, range(0x80, 0xA0)), "\u2028", "\u2029"]

texts = st.text(st.one_of(st.sampled_from(FORBIDDEN), st.characters(codec="utf-8")))


@given(texts, texts)
def test_data_is_one_line_of_json_without_control_characters(message: str, name: str) -> None:
    comment = Comment(1, "v", Author(name, name), message, 2)
    data = comment_data(comment)
    assert not set(data.decode()) & set(FORBIDDEN)
    assert json.loads(data) == json.loads(comment_json(comment))
    assert json.loads(data)["message"] == message


@pytest.mark.parametrize("kind", ["erased", "hidden"])
def test_what_takes_a_comment_away_is_a_deletion_to_clients(kind: str) -> None:
    change = Change(0x90, "v", kind, target_id=0x018F3C4E5A6B7C8D)
    assert name_and_data(change) == ("deleted", b'{"id":"018f3c4e5a6b7c8d"}')


def test_other_changes_carry_their_data() -> None:
    assert name_and_data(Change(9, "v", "poll", data=b'{"a":"\xe2\x80\xa8"}')) == ("poll", b'{"a":"\\u2028"}')
    purged = Change(9, "v", "author_purged", author_id="ann", up_to_id=8)
    assert name_and_data(purged) == ("author_purged", b'{"authorId":"ann","upTo":"0000000000000008"}')


def test_a_comment_is_unnamed_and_one_that_is_gone_is_nothing() -> None:
    comment = Comment(1, "v", Author("a", "A"), "hi", 2)
    assert name_and_data(comment) == ("", comment_data(comment))
    assert name_and_data(Gone(1, "v")) == ("", b"")


def test_an_erased_comment_that_was_accepted_twice_names_the_one_that_stands() -> None:
    plain = name_and_data(Change(9, "v", ERASED, target_id=1))
    assert plain == ("deleted", b'{"id":"0000000000000001"}')
    name, data = name_and_data(Change(9, "v", ERASED, target_id=1, data=withdrawn_json(1, 2)))
    assert (name, json.loads(data)) == ("deleted", {"id": "0000000000000001", "standsAs": "0000000000000002"})
