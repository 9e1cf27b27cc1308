"""Serves pages that were made a moment ago without the framework.

kept_pages.py has the pages that pages.py made, as bytes, by path and query. Here a request for such a page is answered
without a task, routing, parsing, reading or encoding. All other requests go to the app. Both ways give the same
responses: tests/comment_service/http/test_fast_page.py compares them.
"""

from comment_service.clocks import monotonic_s
from comment_service.http.kept_pages import KeptPages
from comment_service.http.pages import names
from comment_service.http.whole_responses import WholeResponses
from proto.http.connection import Run
from proto.http.exchange import Exchange

TEXT = b"text/"
"""In the Accept header of everyone who may want the live stream"""


class FastPage:
    def __init__(self, responses: WholeResponses, kept: KeptPages) -> None:
        self._responses = responses
        self._kept = kept

    def answer(self, exchange: Exchange, run: Run) -> bool:
        """See proto/http/connection.py, `Shortcut`."""
        scope = exchange.scope
        if scope["method"] != "GET":
            return False
        page = self._kept.find((scope["path"], scope["query_string"]), monotonic_s())
        if page is None:
            return False
        origin = known = None
        for name, value in scope["headers"]:
            if name == b"accept":
                if TEXT in value.lower():
                    return False
            elif name == b"if-none-match":
                known = value if known is None else known
            elif name == b"origin":
                origin = value if origin is None else origin
        if known is not None and names(known.decode("latin-1"), page.etag):
            self._responses.give(exchange, run, origin, page.unchanged, b"")
        else:
            self._responses.give(exchange, run, origin, page.head, page.body)
        return True
