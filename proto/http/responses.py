"""The form of an error and of a health answer, the same in every service."""

from collections.abc import Mapping

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

RETRY_S = 2
"""s until a client comes again, where nobody knows better"""


def error_response(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """`{"error": {"code", "message"}}`: the code is for programs; the message tells a person what would be right."""
    return JSONResponse({"error": {"code": code, "message": message}}, status_code=status, headers=dict(headers or {}))


def health_response(ok: bool, details: Mapping[str, object]) -> JSONResponse:
    """200 or 503, with the details that were checked. Never cached."""
    return JSONResponse(
        {"status": "ok" if ok else "unavailable", **details},
        status_code=200 if ok else 503,
        headers={"cache-control": "no-store"},
    )


async def overloaded(scope: Scope, receive: Receive, send: Send) -> None:
    """The app of a connection over the limit: one response, and the connection ends."""
    # Any page may read it: its own requests come over a connection like this, too.
    headers = {"retry-after": str(RETRY_S), "connection": "close", "access-control-allow-origin": "*"}
    answer = error_response(503, "too_many_connections", "this server has as many connections as it can hold", headers)
    await answer(scope, receive, send)
