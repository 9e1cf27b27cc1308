"""proto/core/stream_request.py: what an Accept header asks for"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proto.core.stream_request import EVENT_STREAM, preference, wants_stream


@pytest.mark.parametrize(
    ("accept", "weight"),
    [
        ("", 1),
        ("*/*", 1),
        ("text/event-stream", 1),
        ("Text/Event-Stream", 1),
        ("text/*", 1),
        ("TEXT/*; q=0.3", 0.3),
        ("application/json, */*;q=0.1", 0.1),
        ("text/event-stream;charset=utf-8;q=0.5, */*", 0.5),
        ("*/*, text/*;q=0.2", 0.2),
        ("text/event-stream; Q = 0.4", 0.4),
        ("text/event-stream;q=x", 1),
        ("text/event-stream;q=nan", 1),
        ("text/event-stream;q=7", 1),
        ("text/event-stream;q=0, */*", 0),
        ("application/json", 0),
        ("text/event-streams", 0),
        ("application/*", 0),
    ],
)
def test_the_most_precise_range_decides(accept: str, weight: float) -> None:
    assert preference(accept, EVENT_STREAM).weight == weight


@pytest.mark.parametrize(
    ("accept", "wants"),
    [
        ("", False),
        ("*/*", False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
        ("application/json", False),
        ("text/event-stream", True),
        ("TEXT/Event-Stream;q=0.9, */*;q=0.1", True),
        ("text/*", True),
        ("text/event-stream, application/json", True),
        ("text/event-stream;q=0.5, application/json", False),
        ("text/*, application/json", False),
        ("text/event-stream;q=0", False),
        ("text/event-stream;q=0, application/json;q=0", False),
    ],
)
def test_a_stream_goes_to_who_asks_for_one(accept: str, wants: bool) -> None:
    assert wants_stream(accept) is wants


@given(st.text() | st.text(alphabet="text/event-stream*;q=0.,"))
def test_any_header_is_read(accept: str) -> None:
    found = preference(accept, EVENT_STREAM)
    assert 0 <= found.weight <= 1
    assert found.precision in (0, 1, 2, 3)
