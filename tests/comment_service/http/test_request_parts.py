"""The parts of a request, from real ASGI scopes"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from comment_service.core.errors import BodyTooLarge, BodyTooSlow, ServiceError
from comment_service.http import request_parts


def request(query: bytes = b"", chunks: Sequence[bytes] = (), headers: Mapping[str, str] | None = None) -> Request:
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]

    async def receive() -> dict[str, Any]:
        if not messages:
            await asyncio.Event().wait()
        return messages.pop(0)

    raw = [(name.encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
    return Request({"type": "http", "method": "GET", "path": "/", "query_string": query, "headers": raw}, receive)


def assert_refused(code: str, part: Any, *arguments: Any, **settings: Any) -> None:
    with pytest.raises(ServiceError) as refused:
        part(*arguments, **settings)
    assert refused.value.code == code


async def test_a_body_that_says_that_it_is_too_large_is_not_read() -> None:
    with pytest.raises(BodyTooLarge):
        await request_parts.read_body(request(headers={"content-length": "11"}), bytes_max=10, timeout_ms=60_000)


async def test_a_body_that_turns_out_too_large() -> None:
    with pytest.raises(BodyTooLarge):
        await request_parts.read_body(request(chunks=(b"12345", b"678901")), bytes_max=10, timeout_ms=60_000)


async def test_a_body_that_does_not_end() -> None:
    with pytest.raises(BodyTooSlow, match="after 20 ms"):
        await request_parts.read_body(request(chunks=(b"1",)), bytes_max=10, timeout_ms=20)


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON", 'application/json; charset="UTF-8"', "application/json;charset=utf-8"],
)
def test_json(content_type: str) -> None:
    request_parts.require_json(request(headers={"content-type": content_type}))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": ""},
        {"content-type": "text/plain"},
        {"content-type": "application/jsonp"},
        {"content-type": "application/json; charset=latin-1"},
        {"content-type": "application/json, text/plain"},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ],
)
def test_not_json(headers: dict[str, str]) -> None:
    assert_refused("unsupported_media_type", request_parts.require_json, request(headers=headers))


def test_idempotency_keys() -> None:
    assert request_parts.idempotency_key(request()) is None
    assert request_parts.idempotency_key(request(headers={"idempotency-key": "a b~" * 32})) == "a b~" * 32
    for wrong in ("", "x" * 129, "é", "a\tb"):
        assert_refused(
            "invalid_idempotency_key", request_parts.idempotency_key, request(headers={"idempotency-key": wrong})
        )


def test_who_wants_a_stream() -> None:
    assert request_parts.wants_event_stream(request(headers={"accept": "text/html, Text/Event-Stream;q=0.9"}))
    assert not request_parts.wants_event_stream(request(headers={"accept": "*/*"}))
    assert not request_parts.wants_event_stream(request())


def page_query(query: bytes) -> tuple[int | None, int]:
    return request_parts.page_query(request(query), pagesize_default=10, pagesize_max=100)


def test_page_queries() -> None:
    assert page_query(b"") == (None, 10)
    assert page_query(b"pagesize=100&cursor=018f3c4e5a6b7c8d") == (0x018F3C4E5A6B7C8D, 100)
    assert page_query(b"_=1700000000&_=1&utm_source=mail&pagesize=7") == (None, 7)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (b"pagesize=0", "invalid_pagesize"),
        (b"pagesize=-1", "invalid_pagesize"),
        (b"pagesize=101", "invalid_pagesize"),
        (b"pagesize=1000000000", "invalid_pagesize"),
        (b"pagesize=" + b"9" * 5000, "invalid_pagesize"),
        (b"pagesize=1.5", "invalid_pagesize"),
        (b"pagesize=", "invalid_pagesize"),
        (b"pagesize=%D9%A1", "invalid_pagesize"),  # an Arabic digit
        (b"cursor=", "invalid_cursor"),
        (b"cursor=018F3C4E5A6B7C8D", "invalid_cursor"),
        (b"cursor=ffffffffffffffff", "invalid_cursor"),
        (b"cursor=1", "invalid_cursor"),
        (b"limit=10", "unknown_parameter"),
        (b"pagesize=1&pagesize=2", "repeated_parameter"),
    ],
)
def test_wrong_page_queries(query: bytes, code: str) -> None:
    assert_refused(code, page_query, query)


@pytest.mark.parametrize(
    ("query", "header", "carried"),
    [
        (b"", None, ""),
        (b"max_rate=5&x", None, "max_rate=5&x"),
        (b"last_event_id=a.1", None, "last_event_id=a.1"),
        (b"last_event_id=a.1&max_rate=5", "b.2", "max_rate=5&last_event_id=b.2"),
        (b"lastEventId=a.1&evs_last_event_id=a.2&_=1", "b.2", "_=1&last_event_id=b.2"),
        (b"", "b c", "last_event_id=b+c"),
        (b"a=%FF", "b", "a=%FF&last_event_id=b"),
        (b"a=\xff", None, "a=%C3%BF"),
    ],
)
def test_the_query_that_goes_with_a_viewer(query: bytes, header: str | None, carried: str) -> None:
    headers = {} if header is None else {"last-event-id": header}
    assert request_parts.stream_query(request(query, headers=headers)) == carried


@given(st.binary(max_size=40), st.none() | st.text(st.characters(max_codepoint=255), max_size=10))
def test_any_query_can_stand_in_a_header(query: bytes, header: str | None) -> None:
    headers = {} if header is None else {"last-event-id": header}
    carried = request_parts.stream_query(request(query, headers=headers))
    assert all(" " <= character <= "~" for character in carried)
