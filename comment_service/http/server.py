"""Makes the HTTP server: its listening socket, and uvicorn with the limits of this service."""

import socket
from collections import Counter
from dataclasses import dataclass

import uvicorn

from comment_service.http.app import Api, make_app
from comment_service.http.error_responses import ErrorAnswers
from comment_service.http.http_protocol import ConnectionLimits, http_protocol
from proto.http.responses import HttpServer
from proto.settings import split_address


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What config.py says; its descriptions give the reasons."""

    connections: ConnectionLimits
    cors_origins: tuple[str, ...]
    retry_after_min_s: int
    retry_after_max_s: int
    listen_backlog: int
    keep_alive_s: int
    stop_requests_s: int


def listen(address: str, backlog: int) -> socket.socket:
    """address: host:port. Raises OSError when it can't be listened on."""
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if port > 65535:
        raise OSError(f"there is no port {port}; ports end at 65535")
    listener = socket.create_server((host, port), family=family, backlog=backlog)
    # Accepted connections inherit it. uvicorn sends head and body in two writes: without it the second one waits
    # 40 ms for a delayed ACK. asyncio sets it only on sockets that name their protocol, which this one doesn't.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def address_of(listener: socket.socket) -> str:
    """host:port, also of a port that the kernel has chosen"""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def make_server(api: Api, settings: ServerSettings, refused: Counter[str]) -> HttpServer:
    """refused: counts the refusals by their code."""
    errors = ErrorAnswers(
        retry_after_min_s=settings.retry_after_min_s, retry_after_max_s=settings.retry_after_max_s, refused=refused
    )
    app, take = make_app(api, errors, list(settings.cors_origins))
    return HttpServer(
        uvicorn.Config(
            app,
            http=http_protocol(settings.connections, take),
            ws="none",
            lifespan="off",
            access_log=False,
            server_header=False,
            proxy_headers=False,  # nothing here depends on who the sender says that it is
            log_config=None,
            backlog=settings.listen_backlog,
            timeout_keep_alive=settings.keep_alive_s,
            timeout_graceful_shutdown=settings.stop_requests_s,
        )
    )
