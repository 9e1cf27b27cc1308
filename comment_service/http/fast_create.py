"""Serves most posts of comments without the framework.

For one comment a task, middleware, routing, and Request and Response objects cost more than the comment itself. So a
usual request is admitted, written and answered right here. Anything unusual goes to the app untouched. A request that
fails goes to the app too, with its error in the scope, so that all refusals are made in one place. Both ways give the
same responses: tests/comment_service/http/test_fast_create.py compares them.

Usual means: plain JSON that arrived in one piece, for a video that is known to take comments.
"""

from functools import partial

from starlette.types import ASGIApp, Receive, Scope, Send

from comment_service.core.admission import Admission
from comment_service.core.errors import BodyTooLarge
from comment_service.http.request_parts import is_idempotency_key
from comment_service.http.whole_responses import Head, WholeResponses
from comment_service.write.intake import Intake
from history.core.model import Comment, comment_json
from proto.http.connection import Run
from proto.http.exchange import Exchange

PATH = "/comment/create"
HEAD = Head(200, [(b"content-type", b"application/json")])

UNUSUAL = frozenset((b"content-encoding", b"expect", b"idempotency-key"))
"""Headers that only the app handles; idempotency-key only if it is invalid or repeated"""

CREATE_ERROR = "comment_service.create_error"
"""In a scope: the error that the request has already caused"""


class FastCreate:
    def __init__(
        self, app: ASGIApp, responses: WholeResponses, admission: Admission, intake: Intake, *, body_bytes_max: int
    ) -> None:
        """app: answers refusals."""
        self._app = app
        self._responses = responses
        self._admission = admission
        self._intake = intake
        self._body_bytes_max = body_bytes_max

    def answer(self, exchange: Exchange, run: Run) -> bool:
        """See proto/http/connection.py, `Shortcut`."""
        scope = exchange.scope
        if scope["path"] != PATH or scope["method"] != "POST":
            return False
        is_json, origin, key = False, None, None
        for name, value in scope["headers"]:
            if name == b"content-type":
                is_json = value == b"application/json" and not is_json
                if not is_json:
                    break
            elif name == b"origin":
                origin = value if origin is None else origin
            elif name == b"idempotency-key" and key is None and is_idempotency_key(text := value.decode("latin-1")):
                key = text
            elif name in UNUSUAL:
                is_json = False
                break
        if not is_json:
            return False
        try:
            if len(exchange.body) > self._body_bytes_max:
                raise BodyTooLarge(self._body_bytes_max)
            draft = self._admission.admit(bytes(exchange.body))
            return self._intake.begin(draft, key, partial(self._respond, exchange, run, origin))
        except Exception as error:
            self._refuse(run, error)
            return True

    def _respond(self, exchange: Exchange, run: Run, origin: bytes | None, outcome: Comment | Exception) -> None:
        if isinstance(outcome, Comment):
            self._responses.give(exchange, run, origin, HEAD, comment_json(outcome))
        else:
            self._refuse(run, outcome)

    def _refuse(self, run: Run, error: Exception) -> None:
        run(partial(self._tell_error, error))

    async def _tell_error(self, error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI app, with the first argument bound"""
        scope[CREATE_ERROR] = error
        try:
            await self._app(scope, receive, send)
        finally:
            del scope[CREATE_ERROR]  # its traceback refers to frames, and they to the scope
