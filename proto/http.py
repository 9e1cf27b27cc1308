"""What the services' HTTP servers share: the form of errors and of health responses, and how a server ends."""

import contextlib
from collections.abc import Iterator, Mapping

import uvicorn
from starlette.responses import JSONResponse

from proto.signals import on_stop_signals as on_stop_signals  # re-exported for the services with an HTTP server


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


class HttpServer(uvicorn.Server):
    """A uvicorn server that leaves signals to the service: `stop()` ends `serve()`."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop(self) -> None:
        self.should_exit = True
