"""Makes the HTTP server: its listening socket, and uvicorn with the limits of this service."""

import socket

import uvicorn
from starlette.types import ASGIApp

from comment_service.http.http_protocol import ConnectionLimits, Take, http_protocol
from proto.http.responses import HttpServer
from proto.settings import split_address


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


def build_server(
    app: ASGIApp, limits: ConnectionLimits, *, backlog: int, keep_alive_s: int, stop_s: int, take: Take
) -> HttpServer:
    """backlog: connections that wait to be accepted. stop_s: for requests under way to end. take: the short way past
    the app."""
    return HttpServer(
        uvicorn.Config(
            app,
            http=http_protocol(limits, take),
            ws="none",
            lifespan="off",
            access_log=False,
            server_header=False,
            proxy_headers=False,  # nothing here depends on who the sender says that it is
            log_config=None,
            backlog=backlog,
            timeout_keep_alive=keep_alive_s,
            timeout_graceful_shutdown=stop_s,
        )
    )
