"""The HTTP server for viewers: its listening socket, and uvicorn set up to hand sockets over."""

import socket

import uvicorn
from starlette.applications import Starlette

from proto.http.responses import HttpServer
from proto.settings import split_address
from rms.http.handoff import handoff_protocol


def listen(address: str) -> socket.socket:
    """address: host:port. Raises OSError when it can't be listened on."""
    host, port = split_address(address)
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # the connections have it from here
        listener.bind((host, port))
        listener.listen(65_535)  # the kernel's own limit, net.core.somaxconn, holds
    except OSError:
        listener.close()
        raise
    return listener


def build_server(app: Starlette, head_timeout_s: float, stop_ms: int) -> HttpServer:
    """head_timeout_s: for a whole request head. stop_ms: for requests under way to end."""
    return HttpServer(
        uvicorn.Config(
            app,
            http=handoff_protocol(head_timeout_s),
            ws="none",
            lifespan="off",
            access_log=False,
            server_header=False,
            proxy_headers=False,  # nobody asks for a viewer's address
            log_config=None,
            timeout_graceful_shutdown=stop_ms // 1000,
        )
    )
