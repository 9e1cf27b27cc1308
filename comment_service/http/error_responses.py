"""Turns every error into a JSON response of one form."""

import random
from collections import Counter
from http import HTTPStatus

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from comment_service.core.errors import (
    HTTP_STATUS,
    BodyTooSlow,
    NotAuthorized,
    ServiceError,
    StoreAway,
    UnknownPath,
    WrongMethod,
)
from proto.http.responses import error_response

log = structlog.stdlib.get_logger()


class ErrorResponses:
    """Starlette's exception handlers"""

    def __init__(self, *, retry_after_min_s: int, retry_after_max_s: int, refused: Counter[str] | None = None) -> None:
        """Retry-After is random between the two, so that those who wait don't all come back at once.

        refused: counts the refusals by code.
        """
        self._retry_after_s = (retry_after_min_s, retry_after_max_s)
        self._refused: Counter[str] = Counter() if refused is None else refused

    async def service_error(self, _: Request, error: Exception) -> Response:
        assert isinstance(error, ServiceError)
        self._refused[error.code] += 1
        status = HTTP_STATUS[type(error)]
        headers = {}
        if isinstance(error, WrongMethod):
            headers["allow"] = ", ".join(error.allowed)
        if isinstance(error, NotAuthorized):
            headers["www-authenticate"] = "Bearer"
        if isinstance(error, BodyTooSlow):
            headers["connection"] = "close"  # the client needn't send the rest
        if status == 503:
            headers["retry-after"] = str(random.randint(*self._retry_after_s))
        return error_response(status, error.code, str(error), headers)

    async def store_unavailable(self, request: Request, _: Exception) -> Response:
        return await self.service_error(request, StoreAway())

    async def http_exception(self, request: Request, error: Exception) -> Response:
        """For what Starlette itself refuses"""
        assert isinstance(error, HTTPException)
        if error.status_code == 404:
            return await self.service_error(request, UnknownPath())
        if error.status_code == 405:
            allowed = (error.headers or {}).get("Allow", "GET").split(", ")
            return await self.service_error(request, WrongMethod(request.method, allowed))
        code = HTTPStatus(error.status_code).name.lower()
        return error_response(error.status_code, code, error.detail, error.headers)

    async def client_gone(self, *_: object) -> Response:
        """For half a request, whose client has gone. Nothing of this is sent."""
        return error_response(400, "request_incomplete", "the connection ended before the request did")


class Faults:
    """ASGI middleware: an unexpected exception is logged and answered with a JSON 500."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        except Exception:
            if started:
                raise  # the exchange breaks the connection: half a response must not look whole
            log.exception("request failed", method=scope["method"], path=_nameless_path(scope)[:200])
            answer = error_response(500, "internal_error", "this is our fault; it has been logged")
            await answer(scope, receive, send)


def _nameless_path(scope: Scope) -> str:
    """Without the author's id, which a log would keep for longer than a purge allows"""
    path, author_id = scope["path"], scope.get("path_params", {}).get("author_id")
    return str(path.replace(author_id, "…") if author_id else path)
