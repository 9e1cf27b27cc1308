"""POST /comment/create without what a web framework does for each request: an ASGI app in front of the other one.

Middleware, routing, Request and Response objects cost more than the comment itself. Here a request that is right at
first sight is read, admitted, written and answered by itself. Whatever is unusual goes on to the app behind, untouched;
whatever fails does too, with its error in the scope, so that every refusal has one form and one place. Both ways give
the same answers: tests/comment_service/test_fast_create.py holds them side by side.

Right at first sight: JSON as it is, no Idempotency-Key, and a body that has already arrived when the app is called, as
nearly every POST's has (http_protocol.py says so). Nothing here waits for a sender, so no timer is needed.
"""

from starlette.types import ASGIApp, Receive, Scope, Send

from comment_service.admission import Admission
from comment_service.errors import BodyTooLarge
from comment_service.http_protocol import cycle_of, whole_body
from comment_service.intake import Intake
from comment_service.whole_answers import Head, WholeAnswers
from history.model import comment_json

PATH = "/comment/create"
HEAD = Head(200, [(b"content-type", b"application/json")])

UNUSUAL = frozenset((b"content-encoding", b"expect", b"idempotency-key"))

CREATE_ERROR = "comment_service.create_error"
"""In a scope: the exception to which the request has led already"""


class FastCreate:
    def __init__(
        self, app: ASGIApp, answers: WholeAnswers, admission: Admission, intake: Intake, *, body_bytes_max: int
    ) -> None:
        self._app = app
        self._answers = answers
        self._admission = admission
        self._intake = intake
        self._body_bytes_max = body_bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path") != PATH or scope["method"] != "POST" or (cycle := cycle_of(scope)) is None:
            await self._app(scope, receive, send)
            return
        is_json, origin = False, None
        for name, value in scope["headers"]:
            if name == b"content-type":
                is_json = value == b"application/json" and not is_json
                if not is_json:
                    break
            elif name == b"origin":
                origin = value if origin is None else origin
            elif name in UNUSUAL:
                is_json = False
                break
        if not is_json:
            await self._app(scope, receive, send)
            return
        body = whole_body(cycle)
        if body is None:
            return
        try:
            if len(body) > self._body_bytes_max:
                raise BodyTooLarge(self._body_bytes_max)
            comment = await self._intake.accept(self._admission.admit(body), None)
        except Exception as error:
            scope[CREATE_ERROR] = error
            try:
                await self._app(scope, receive, send)
            finally:
                del scope[CREATE_ERROR]  # its traceback holds this frame, and so the scope
            return
        await self._answers.send(scope, send, origin, HEAD, comment_json(comment))
