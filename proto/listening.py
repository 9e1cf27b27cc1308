"""TCP sockets that listen, for the services that viewers and authors connect to."""

import socket

from proto.settings import join_address, split_address


def listen(address: str, backlog: int, user_timeout_ms: int) -> socket.socket:
    """A socket that listens on host:port. backlog: connections that may wait to be accepted; the kernel's own limit,
    net.core.somaxconn, holds as well. user_timeout_ms: how long what a connection has sent may stay unacknowledged;
    then the other end is gone (tcp(7), TCP_USER_TIMEOUT). Raises OSError when it can't."""
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=backlog)
    # Accepted connections inherit both. Without the first a second write waits 40 ms for a delayed ACK; asyncio sets it
    # only on sockets that name their protocol, which this one doesn't. Without the second the kernel tries for a
    # quarter of an hour to reach somebody whose network is gone.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, user_timeout_ms)
    return listener


def address_of(listener: socket.socket) -> str:
    """host:port, also when any port was asked for"""
    return join_address(*listener.getsockname()[:2])
