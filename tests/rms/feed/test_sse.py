"""rms/feed/sse.py: whatever a comment contains, every client gets the same event out of the bytes."""

import http.client
import io

from hypothesis import given
from hypothesis import strategies as st

from history.core.model import Author, Comment
from history.core.stream_data import comment_data
from rms.feed.sse import (
    LAST_CHUNK,
    blank_frame,
    chunk,
    event_frame,
    frame,
    frame_data,
    frame_position,
    position_frame,
    retry_line,
    unchunked,
    with_position,
)

# Everything that some client takes for a line's end, and what browsers or terminals trip over
FORBIDDEN = [*map(chr, range(0x20)), "\x7f", *map(chr, range(0x80, 0xA0)), "\u2028", "\u2029"]

texts = st.text(st.one_of(st.sampled_from(FORBIDDEN), st.characters(codec="utf-8")))


@given(texts, st.sampled_from(["", "deleted"]))
def test_a_frame_is_id_name_and_data(message: str, name: str) -> None:
    data = comment_data(Comment(1, "v", Author("a", "A"), message, 2))
    made = frame(b"AAAAAA", name, data)
    named = [f"event: {name}"] if name else []
    assert unchunked(made).decode().split("\n") == ["id: AAAAAA", *named, f"data: {data.decode()}", "", ""]
    assert (frame_data(made), frame_position(made)) == (data, b"AAAAAA")
    assert with_position(made, b"BBBBBBCCCCCC") == frame(b"BBBBBBCCCCCC", name, data)


@given(texts)
def test_a_blank_frame_is_as_long_has_the_id_and_is_no_event(message: str) -> None:
    made = frame(b"AAAAAA", "", comment_data(Comment(1, "v", Author("a", "A"), message, 2)))
    blank = blank_frame(made)
    assert len(blank) == len(made)
    first, second, *rest = unchunked(blank).decode().split("\n")
    assert first == "id: AAAAAA"
    assert second.strip() == ":"
    assert rest == ["", ""]


def test_named_events_positions_and_retry() -> None:
    assert unchunked(event_frame("gap", {"from": "a\u2028"})) == b'event: gap\ndata: {"from":"a\\u2028"}\n\n'
    assert unchunked(event_frame("x", 1, b"AAAAAA")).startswith(b"id: AAAAAA\nevent: x\n")
    assert unchunked(position_frame(b"AAAAAA")) == b"id: AAAAAA\n:\n\n"
    assert unchunked(retry_line(1500)) == b"retry: 1500\n"


@given(st.lists(st.binary(min_size=1, max_size=300)))
def test_chunks_are_what_http_clients_read(parts: list[bytes]) -> None:
    body = b"".join(map(chunk, parts))
    assert unchunked(body) == b"".join(parts)

    class Answer:
        def makefile(self, mode: str) -> io.BytesIO:
            return io.BytesIO(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body + LAST_CHUNK)

    response = http.client.HTTPResponse(Answer())  # type: ignore[arg-type]  # all that it asks of a socket
    response.begin()
    assert response.read() == b"".join(parts)
