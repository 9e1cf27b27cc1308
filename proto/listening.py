"""TCP sockets that listen, for the services that viewers and authors connect to."""

import socket

from proto.settings import join_address, split_address


def listen(address: str, backlog: int) -> socket.socket:
    """A socket that listens on host:port. backlog: connections that may wait to be accepted; the kernel's own limit,
    net.core.somaxconn, holds as well. Raises OSError when it can't."""
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=backlog)
    # Accepted connections inherit it. Without it a second write waits 40 ms for a delayed ACK; asyncio sets it only on
    # sockets that name their protocol, which this one doesn't.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def address_of(listener: socket.socket) -> str:
    """host:port, also when any port was asked for"""
    return join_address(*listener.getsockname()[:2])
