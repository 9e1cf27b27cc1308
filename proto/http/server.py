"""How a service listens for HTTP and stops: uvicorn's server, with connections of our own."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from functools import partial
from typing import cast

import uvicorn
from starlette.types import ASGIApp

from proto.http.connection import Connection, Take
from proto.http_settings import ConnectionLimits
from proto.settings import split_address


def listen(address: str, backlog: int) -> socket.socket:
    """A socket that listens on host:port. backlog: connections that may wait to be accepted; the kernel's own limit,
    net.core.somaxconn, holds as well. Raises OSError when it can't."""
    host, port = split_address(address)
    if port > 65_535:
        raise OSError(f"there is no port {port}; ports end at 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=backlog)
    # Accepted connections inherit it. Without it a second write waits 40 ms for a delayed ACK; asyncio sets it only on
    # sockets that name their protocol, which this one doesn't.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def address_of(listener: socket.socket) -> str:
    """host:port, also when any port was asked for"""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class HttpServer(uvicorn.Server):
    """uvicorn's server, but signals belong to the service: `stop` ends `serve`, and nothing is raised afterwards."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop(self) -> None:
        self.should_exit = True


def build_server(
    app: ASGIApp, limits: ConnectionLimits, *, stop_s: float, take: Take | None = None, offers_socket: bool = False
) -> HttpServer:
    """A server for this app. stop_s: how long requests under way may take after `stop`. take, offers_socket: see
    Connection."""
    connection = partial(Connection, limits, take, offers_socket=offers_socket)
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
