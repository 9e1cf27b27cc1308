"""The operators' port of a service: metrics, and health with its reasons, which name what is inside.

It is a second port, so that a balancer can't pass strangers on to it by mistake. On the public one, health is a yes or
a no.
"""

import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from proto.http.guard import Guard
from proto.http.responses import error_response, health_response
from proto.http.server import HttpServer, build_server
from proto.http_settings import HttpSettings
from proto.listening import address_of, listen

EVERYBODY = "0.0.0.0/0,::/0"
CONNECTIONS_MAX = 100
"""of operators, scrapers and balancers"""
BACKLOG = 128
STOP_S = 1.0
"""for a scrape under way"""

Readiness = Callable[[], Awaitable[tuple[bool, Mapping[str, object]]]]
"""Whether the service can work, and the facts"""


class OperatorsPort:
    """Serves until `stop`; from its making on, connections wait for it."""

    def __init__(self, settings: HttpSettings, readiness: Readiness, registry: CollectorRegistry) -> None:
        """Raises OSError when the address can't be listened on."""
        self._listener = _listen(settings.operators_listen, settings.user_timeout_ms)
        self.address = address_of(self._listener)
        self._server = _server(_app(readiness, registry), settings)

    async def run(self) -> None:
        await self._server.serve(sockets=[self._listener])

    def close(self) -> None:
        """Instead of `run`"""
        self._listener.close()

    def stop(self) -> None:
        """Makes `run` return."""
        self._server.stop()


class PublicHealth:
    """What strangers may know: yes or no"""

    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness

    async def live(self, _: Request) -> Response:
        return health_response(True, {})

    async def ready(self, _: Request) -> Response:
        ok, _facts = await self._readiness()
        return health_response(ok, {})


def _listen(address: str, user_timeout_ms: int) -> socket.socket:
    try:
        return listen(address, BACKLOG, user_timeout_ms)
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror}; choose another operators' port: --operators-listen") from error


def _app(readiness: Readiness, registry: CollectorRegistry) -> Starlette:
    async def ready(_: Request) -> Response:
        return health_response(*await readiness())

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    async def http_error(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return error_response(
            error.status_code, "not_found", "there are GET /metrics, /health, /health/live and /ready"
        )

    return Starlette(
        routes=[
            Route("/health/live", PublicHealth(readiness).live),
            Route("/health/ready", ready),
            Route("/health", ready),
            Route("/metrics", metrics),
        ],
        exception_handlers={HTTPException: http_error},
    )


def _server(app: Starlette, settings: HttpSettings) -> HttpServer:
    limits = replace(settings.connection_limits(), connections_max=CONNECTIONS_MAX)
    guard = Guard(settings.model_copy(update={"unlimited_networks": EVERYBODY}), Counter())
    return build_server(app, limits, guard, stop_s=STOP_S)
