"""A comment's JSON can be read back by any reader, and a video's id is safe wherever it is written."""

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from history.core.ids import ID_MAX
from history.core.model import (
    AUTHOR_PURGED,
    ERASED,
    HIDDEN,
    RESTORED,
    Author,
    Change,
    Comment,
    InvalidVideoId,
    Page,
    as_server_sent,
    check_video_id,
    comment_json,
    page_json,
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
comments = st.builds(
    Comment,
    id=st.integers(0, ID_MAX),
    video_id=st.from_regex(r"[A-Za-z0-9_-][A-Za-z0-9_.:~-]{0,127}", fullmatch=True),
    author=st.builds(Author, id=texts, name=texts),
    message=texts,
    created_at_ms=st.integers(0, 1 << 48),
)


def as_read(comment: Comment) -> dict[str, object]:
    return {
        "id": f"{comment.id:016x}",
        "liveVideoId": comment.video_id,
        "author": {"id": comment.author.id, "name": comment.author.name},
        "message": comment.message,
        "createdAt": comment.created_at_ms,
    }


@given(comments)
def test_comment_json_is_what_was_said(comment: Comment) -> None:
    line = comment_json(comment)
    assert json.loads(line) == as_read(comment)
    assert not any(byte < 0x20 for byte in line)


@given(st.lists(comments, max_size=3), st.none() | st.integers(0, ID_MAX))
def test_page_json(page_comments: list[Comment], next_cursor: int | None) -> None:
    assert json.loads(page_json(Page(page_comments, next_cursor))) == {
        "comments": [as_read(comment) for comment in page_comments],
        "nextCursor": None if next_cursor is None else f"{next_cursor:016x}",
    }


@given(comments)
def test_video_ids_need_no_escaping(comment: Comment) -> None:
    assert check_video_id(comment.video_id) == comment.video_id
    assert quote(comment.video_id, safe=":") == comment.video_id


@pytest.mark.parametrize("text", ["", ".", "..", "a b", "a/b", "ä", "a\n", "a" * 129, "a%20b", ":a", "a\0"])
def test_what_is_no_video_id(text: str) -> None:
    with pytest.raises(InvalidVideoId, match="1 to 128 of A-Z"):
        check_video_id(text)


def test_changes_as_viewers_get_them() -> None:
    for kind in (ERASED, HIDDEN):
        assert as_server_sent(Change(9, "v", kind, 0xAB)) == ("deleted", b'{"id":"00000000000000ab"}')
    said = b'{"id":"00000000000000ab"}'
    assert as_server_sent(Change(9, "v", RESTORED, 0xAB, said)) == ("restored", said)
    assert as_server_sent(Change(9, "v", RESTORED, 0xAB)) == ("restored", b"")  # it can't be seen
    purged = Change(9, "v", AUTHOR_PURGED, author_id='"ann"\n', up_to_id=0xAB)
    assert as_server_sent(purged) == ("author_purged", b'{"authorId":"\\"ann\\"\\n","upTo":"00000000000000ab"}')
    assert as_server_sent(Change(9, "v", AUTHOR_PURGED, up_to_id=0xAB)) == ("author_purged", b"")  # no longer named
    assert as_server_sent(Change(9, "v", "of the next release", data=b"{}")) == ("of the next release", b"{}")
