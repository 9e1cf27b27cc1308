"""The responses to what is refused for its number or its form, each made in one piece: no task runs, no app is asked,
and no framework makes a response. Most of what a flood sends ends here, so this is what a flood costs."""

from collections.abc import Sequence

import msgspec

from proto.http.come_again import STREAM_TYPE, TRIES_NEXT, come_again, comes_back
from proto.http.exchange import STATUS_LINES
from proto.http.guard import TooMany
from proto.http.requests import BadRequest, Head

ORIGIN_BYTES_MAX = 256
"""of an Origin that is repeated in a response: a host's name has 253 at most"""

Headers = Sequence[tuple[bytes, bytes]]


def refusal(over: TooMany, head: Head, usual_lines: bytes, *, goes_on: bool) -> tuple[bytes, bool]:
    """The response, and whether another request may follow on the connection. An EventSource that comes back is told to
    come again, as by ComeAgain. usual_lines: that every response has. goes_on: the request allows it."""
    lines = [usual_lines, _for_pages_of(head.headers), b"cache-control: no-store\r\n"]
    if _must_come_again(over, head):
        body, status, goes_on = come_again(over.retry_after_s), 200, False
        lines.append(b"content-type: %b\r\n" % STREAM_TYPE.encode())
    else:
        body, status = _error(over.code, over.message), over.status
        lines.append(b"content-type: application/json\r\nretry-after: %d\r\n" % over.retry_after_s)
    lines.append(b"content-length: %d\r\n" % len(body))
    lines.append(b"\r\n" if goes_on else b"connection: close\r\n\r\n")
    return b"".join([STATUS_LINES[status], *lines, b"" if head.method == "HEAD" else body]), goes_on


def bad_request(bad: BadRequest, usual_lines: bytes) -> bytes:
    """The last response on its connection. usual_lines: that every response has"""
    body = _error(bad.code, bad.message)
    lines = b"content-length: %d\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n" % len(body)
    return b"".join((STATUS_LINES[bad.status], usual_lines, lines, body))


def _error(code: str, message: str) -> bytes:
    """As `error_response` has it"""
    return msgspec.json.encode({"error": {"code": code, "message": message}})


def _must_come_again(over: TooMany, head: Head) -> bool:
    if head.method != "GET" or all(name != b"last-event-id" for name, _ in head.headers):
        return False
    headers: dict[str, str] = {}
    for name, value in head.headers:
        text = value.decode("latin-1")
        known = name.decode("latin-1")
        headers[known] = f"{headers[known]}, {text}" if known in headers else text
    return comes_back(headers) and not (over.status == 503 and TRIES_NEXT in headers)


def _for_pages_of(headers: Headers) -> bytes:
    """Pages of all origins may read it, with credentials, too: it says nothing of anybody."""
    origin = next((value for name, value in headers if name == b"origin"), b"")
    if not origin or len(origin) > ORIGIN_BYTES_MAX:
        return b"access-control-allow-origin: *\r\n"
    lines = b"access-control-allow-origin: %b\r\naccess-control-allow-credentials: true\r\nvary: origin\r\n"
    return lines % origin
