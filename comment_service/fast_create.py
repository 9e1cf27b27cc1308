"""POST /comment/create without what a web framework does for each request: an ASGI app in front of the other one.

Middleware, routing, Request and Response objects cost more than the comment itself. Here a request that is right at
first sight is read, admitted, written and answered by itself. Whatever is unusual goes on to the app behind, untouched;
whatever fails does too, with its error in the scope, so that every refusal has one form and one place. Both ways give
the same answers: tests/comment_service/test_fast_create.py holds them side by side.

Right at first sight: JSON as it is, no Idempotency-Key, and a body that has already arrived when the app is called, as
nearly every POST's has (http_protocol.py says so). Nothing here waits for a sender, so no timer is needed.
"""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from comment_service.admission import Admission
from comment_service.answers import Cors
from comment_service.errors import BodyTooLarge
from comment_service.http_protocol import BODY_IS_COMPLETE
from comment_service.intake import Intake
from history.model import comment_json

PATH = "/comment/create"
ORIGINS_MAX = 256
"""Origins whose headers are remembered. Browsers send their page's origin, and these are few; strangers send any."""

UNUSUAL = frozenset((b"content-encoding", b"expect", b"idempotency-key"))

CREATE_ERROR = "comment_service.create_error"
"""In a scope: the exception to which the request has led already"""

RawHeaders = list[tuple[bytes, bytes]]


class FastCreate:
    def __init__(self, app: ASGIApp, cors: Cors, admission: Admission, intake: Intake, *, body_bytes_max: int) -> None:
        """cors: the one that `app` uses; it is asked once for each origin."""
        self._app = app
        self._cors = cors
        self._admission = admission
        self._intake = intake
        self._body_bytes_max = body_bytes_max
        self._origins: dict[bytes | None, RawHeaders] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path") != PATH or scope["method"] != "POST" or not _is_usual(scope):
            await self._app(scope, receive, send)
            return
        message = await receive()
        if message["type"] != "http.request":  # nobody is there any more
            return
        try:
            body = message["body"]
            if len(body) > self._body_bytes_max:
                raise BodyTooLarge(self._body_bytes_max)
            comment = await self._intake.accept(self._admission.admit(body), None)
        except Exception as error:
            scope[CREATE_ERROR] = error
            await self._app(scope, receive, send)
            return
        answer = comment_json(comment)
        origin = _origin(scope["headers"])
        headers = self._origins.get(origin) or await self._headers_for(origin)
        length = (b"content-length", b"%d" % len(answer))
        await send({"type": "http.response.start", "status": 200, "headers": [length, *headers]})
        await send({"type": "http.response.body", "body": answer})

    async def _headers_for(self, origin: bytes | None) -> RawHeaders:
        """What Cors would add to an answer for that origin"""
        headers: RawHeaders = [(b"content-type", b"application/json")]

        async def keep(message: Message) -> None:
            headers[:] = message["headers"]

        asked = Headers(raw=[] if origin is None else [(b"origin", origin)])
        await self._cors.send({"type": "http.response.start", "headers": list(headers)}, keep, asked)
        if len(self._origins) >= ORIGINS_MAX:
            self._origins.clear()
        self._origins[origin] = headers
        return headers


def _is_usual(scope: Scope) -> bool:
    is_json = False
    for name, value in scope["headers"]:
        if name == b"content-type":
            if is_json or value != b"application/json":
                return False
            is_json = True
        elif name in UNUSUAL:
            return False
    return is_json and BODY_IS_COMPLETE in scope


def _origin(headers: RawHeaders) -> bytes | None:
    return next((value for name, value in headers if name == b"origin"), None)
