"""The settings of a service that listens for HTTP, and the limits that hold for every connection."""

from dataclasses import dataclass

from pydantic import Field

from proto.settings import Settings

BODY_BYTES_HELD = 64 << 10
"""of a request's body that the app hasn't asked for; then reading pauses"""

PIPELINED_BYTES_MAX = 64 << 10
"""of requests that wait for the one before; with more, the connection ends with the next response. As much as a client
sends at once while a response of ours is on its way."""

LINGER_S = 2.0
"""A connection that we end while the client still sends is closed only so much later: a reset would destroy the
response that says why, unread (RFC 9112, 9.6)."""

DISCARDED_BYTES_MAX = 1 << 20
"""of what a client sends though its request has its response already, in SKIPPING and in LINGERING; with more, its
connection is cut. Bodies that are refused for their size are mostly smaller."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What the settings say about connections; their descriptions give the reasons."""

    head_timeout_s: float
    head_bytes_max: int
    headers_max: int
    keep_alive_s: float
    send_timeout_s: float
    connections_max: int


class HttpSettings(Settings):
    """The settings of a service that listens for HTTP"""

    head_timeout_s: float = Field(
        10.0, gt=0, description="s for a whole request head to arrive, then the connection is closed"
    )
    head_bytes_max: int = Field(
        65_536, ge=4096, description="bytes in a request head, then 431: 8 times what nginx and Apache take"
    )
    headers_max: int = Field(200, ge=20, description="header lines in a request head, then 431: browsers send 20")
    keep_alive_s: float = Field(
        15.0, gt=0, description="s a connection stays open after a response: a person writes again within that time"
    )
    send_timeout_s: float = Field(
        30.0, gt=0, description="s a client may take nothing of a response, then its connection is cut"
    )
    connections_max: int = Field(
        10_000, ge=1, description="connections; beyond, each gets one 503: half of the files a process may open here"
    )
    listen_backlog: int = Field(4096, ge=1, description="connections waiting to be accepted; the kernel may hold less")

    def connection_limits(self) -> ConnectionLimits:
        return ConnectionLimits(
            self.head_timeout_s,
            self.head_bytes_max,
            self.headers_max,
            self.keep_alive_s,
            self.send_timeout_s,
            self.connections_max,
        )
