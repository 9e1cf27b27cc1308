"""What the HTTP faces have agreed on: the form of an error and of a health answer, and how a server runs and ends."""

import contextlib
from collections.abc import Iterator, Mapping

import uvicorn
from starlette.responses import JSONResponse

from proto.signals import on_stop_signals as on_stop_signals  # the services with an HTTP face find it here


def error_response(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """`{"error": {"code", "message"}}`: the code is for programs, the message tells a person what would be right."""
    return JSONResponse({"error": {"code": code, "message": message}}, status_code=status, headers=dict(headers or {}))


def health_response(ok: bool, details: Mapping[str, object]) -> JSONResponse:
    """200 or 503, with what was looked at. Never cached."""
    return JSONResponse(
        {"status": "ok" if ok else "unavailable", **details},
        status_code=200 if ok else 503,
        headers={"cache-control": "no-store"},
    )


class HttpServer(uvicorn.Server):
    """uvicorn, but signals belong to the service: `stop()` ends `serve()`, and nothing is raised again afterwards."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop(self) -> None:
        self.should_exit = True
