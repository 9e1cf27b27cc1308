"""Answers an EventSource that comes back in such a way that it comes again.

To a browser's EventSource any status but 200 is final (WHATWG HTML, 9.2.3): one 503 in an outage of a second ends it
for good. So whoever comes back to a stream, and has to be turned away for now, gets a stream that says when to come
again, and ends. Somebody new gets the error: a program wants to know why, and a person can load the page again.
"""

from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from proto.core.stream_request import wants_stream
from proto.http.responses import RETRY_S

TRIES_NEXT = "x-balancer-tries-next"
"""A request header of a balancer that asks another node when this one answers 503, and so has to see the 503. It passes
all else on, as a 429: so that is told to come again here."""

STREAM_TYPE = "text/event-stream; charset=utf-8"
_START_OVER = b'event: gap\nid\ndata: {"reason":"unknown_position"}\n\n'


def comes_back(headers: Mapping[str, str]) -> bool:
    """Whether a client resumes a stream. headers: by lower-case names. Clients that resume by a parameter of the query
    aren't meant: they open each connection themselves, and so read its status."""
    return "last-event-id" in headers and wants_stream(headers.get("accept", ""))


def is_passing(status: int) -> bool:
    """Whether the same request may be answered otherwise later"""
    return status == 429 or status >= 500


def come_again(retry_s: float) -> bytes:
    """The body of a stream that tells its client only when to come again"""
    return b"retry: %d\n\n" % (retry_s * 1000)


def start_over(retry_s: float) -> bytes:
    """As `come_again`, for one whose position nobody knows: it is told that it has missed something, and its next
    request has no position."""
    return b"retry: %d\n%b" % (retry_s * 1000, _START_OVER)


def stream_that_ends(body: bytes) -> Response:
    """Its connection ends, too: a balancer may place the next one elsewhere."""
    return Response(body, headers={"content-type": STREAM_TYPE, "cache-control": "no-store", "connection": "close"})


class ComeAgain:
    """ASGI middleware: turns the responses to those who come back, where the status says that it would pass."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        if scope["method"] != "GET" or not comes_back(headers):
            await self._app(scope, receive, send)
            return
        turned, kept = False, 503 if TRIES_NEXT in headers else None

        async def turning(message: Message) -> None:
            nonlocal turned
            if message["type"] == "http.response.start" and message["status"] != kept and is_passing(message["status"]):
                turned = True
                retry_s = Headers(raw=message["headers"]).get("retry-after", "")
                body = come_again(int(retry_s) if retry_s.isdigit() else RETRY_S)
                await stream_that_ends(body)(scope, receive, send)
            elif not turned:
                await send(message)

        await self._app(scope, receive, turning)
