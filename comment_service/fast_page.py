"""GET of a page that was made a moment ago: an ASGI app in front of the other one.

What pages.py has made is kept as bytes (kept_pages.py), under the path and the query as they came. Here a request for
such a page is answered without routing, parsing, reading or encoding. Whatever else comes goes on to the app behind.
Both ways give the same answers: tests/comment_service/test_fast_page.py holds them side by side.
"""

import time

from starlette.types import ASGIApp, Receive, Scope, Send

from comment_service.kept_pages import KeptPages
from comment_service.pages import names
from comment_service.whole_answers import WholeAnswers

EVENT_STREAM = b"text/event-stream"


class FastPage:
    def __init__(self, app: ASGIApp, answers: WholeAnswers, kept: KeptPages) -> None:
        self._app = app
        self._answers = answers
        self._kept = kept

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        page = None
        if scope.get("method") == "GET":
            page = self._kept.find((scope["path"], scope["query_string"]), time.monotonic())
        if page is None:
            await self._app(scope, receive, send)
            return
        origin = known = None
        for name, value in scope["headers"]:
            if name == b"accept":
                if EVENT_STREAM in value.lower():  # a viewer, who wants the live stream
                    await self._app(scope, receive, send)
                    return
            elif name == b"if-none-match":
                known = value if known is None else known
            elif name == b"origin":
                origin = value if origin is None else origin
        if known is not None and names(known.decode("latin-1"), page.etag):
            await self._answers.send(scope, send, origin, page.unchanged, b"")
        else:
            await self._answers.send(scope, send, origin, page.head, page.body)
