"""rms/feed/sse.py: whatever a comment contains, every client gets the same event out of the bytes."""

import json

from hypothesis import given
from hypothesis import strategies as st

from history.core.model import Author, Comment, comment_json
from rms.feed.position import Position
from rms.feed.sse import blank_frame, comment_data, comment_frame, event_frame, frame_data, retry_line

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


@given(texts)
def test_a_frame_is_id_and_data(message: str) -> None:
    data = comment_data(Comment(1, "v", Author("a", "A"), message, 2))
    position = Position(1, 1, 7)
    frame = comment_frame(position, data)
    assert frame.decode().split("\n") == [f"id: {position}", f"data: {data.decode()}", "", ""]
    assert frame_data(frame) == data


@given(texts)
def test_a_blank_frame_is_as_long_has_the_id_and_is_no_event(message: str) -> None:
    frame = comment_frame(Position(1, 1, 7), comment_data(Comment(1, "v", Author("a", "A"), message, 2)))
    blank = blank_frame(frame)
    assert len(blank) == len(frame)
    first, second, *rest = blank.decode().split("\n")
    assert first == f"id: {Position(1, 1, 7)}"
    assert second.strip() == ":"
    assert rest == ["", ""]


def test_named_events_and_retry() -> None:
    assert event_frame("gap", {"from": "a\u2028"}) == b'event: gap\ndata: {"from":"a\\u2028"}\n\n'
    assert event_frame("x", 1, Position(1, 1, 7)).startswith(b"id: 0000000000000001.1.000000000007\nevent: x\n")
    assert retry_line(1500) == b"retry: 1500\n"
