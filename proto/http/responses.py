"""The form of an error and of a health answer, the same in every service."""

from collections.abc import Mapping

from starlette.responses import JSONResponse

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
