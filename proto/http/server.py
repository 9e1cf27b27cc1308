"""How a service serves HTTP and stops: uvicorn's server, with connections of our own."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from functools import partial
from typing import cast

import uvicorn
from starlette.types import ASGIApp

from proto.http.browser_headers import UsualLines
from proto.http.connection import Connection, Shortcut
from proto.http.guard import Guard
from proto.http.peer import Adopted, LimitOf
from proto.http_settings import ConnectionLimits


class HttpServer(uvicorn.Server):
    """uvicorn's server, but signals belong to the service: `stop` ends `serve`, and nothing is raised afterwards."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def adopt(self, peer: socket.socket, request: bytes, caller_key: str | None) -> None:
        """Serves a connection that another process has accepted, and whose first request that one has read. peer: is
        the server's from now on. Raises OSError; then it is closed."""
        loop, config = asyncio.get_running_loop(), self.config
        if not config.loaded:
            config.load()

        def connection() -> asyncio.Protocol:
            return config.http_protocol_class(  # type: ignore[call-arg]  # as uvicorn calls it
                adopted=Adopted(caller_key), config=config, server_state=self.server_state, app_state={}, _loop=loop
            )

        try:
            _, protocol = await loop.connect_accepted_socket(connection, peer)
        except BaseException:
            peer.close()
            raise
        protocol.data_received(request)  # nothing else is read before: the loop hasn't run since it reads

    def stop(self) -> None:
        self.should_exit = True


def build_server(
    app: ASGIApp,
    limits: ConnectionLimits,
    guard: Guard,
    *,
    stop_s: float,
    limit_of: LimitOf = lambda head: None,
    shortcut: Shortcut | None = None,
    offers_socket: bool = False,
) -> HttpServer:
    """A server for this app. stop_s: how long requests under way may take after `stop`. limit_of, shortcut,
    offers_socket: see Connection."""
    usual_lines = UsualLines(limits.hsts_s)
    connection = partial(Connection, limits, guard, limit_of, shortcut, usual_lines, offers_socket=offers_socket)
    return HttpServer(
        uvicorn.Config(
            app,
            http=cast(type[asyncio.Protocol], connection),  # uvicorn only calls it
            ws="none",
            lifespan="off",
            access_log=False,
            server_header=False,
            proxy_headers=False,  # nothing depends on who a sender says that it is
            log_config=None,
            timeout_graceful_shutdown=max(1, round(stop_s)),
        )
    )
