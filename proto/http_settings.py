"""The settings of a service that listens for HTTP, and the limits that hold for every connection."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, Field

from proto.core.caller import ProxyHeaders, parse_networks
from proto.settings import Address, Settings

BODY_BYTES_HELD = 64 << 10
"""of a request's body that the app hasn't asked for; then reading pauses"""

PIPELINED_BYTES_MAX = 64 << 10
"""of requests that wait for the one before; with more, the connection ends with the next response. As much as a client
sends at once while a response of ours is on its way."""

REFUSED_IN_A_ROW_MAX = 10
"""requests on one connection; with one more, it ends: its client doesn't listen"""

LINGER_S = 2.0
"""A connection that we end while the client still sends is closed only so much later: a reset would destroy the
response that says why, unread (RFC 9112, 9.6)."""

DISCARDED_BYTES_MAX = 1 << 20
"""of what a client sends though its request has its response already, in SKIPPING and in LINGERING; with more, its
connection is cut. Bodies that are refused for their size are mostly smaller."""


OPERATORS_LISTEN = (
    "host:port for /metrics, and for /health with its reasons, which name what is inside; port 0 takes a free one and "
    "logs it. Not for viewers, so not behind the balancer"
)


def _networks(text: str) -> str:
    parse_networks(text)
    return text


Networks = Annotated[str, AfterValidator(_networks)]
"""10.0.0.0/8,::1: the same form in a flag and in the environment"""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What the settings say about connections; their descriptions give the reasons."""

    head_timeout_s: float
    head_bytes_max: int
    headers_max: int
    keep_alive_s: float
    send_timeout_s: float
    connections_max: int
    hsts_s: int


class GuardSettings(Settings):
    """What addresses may do, and whose word counts who has called"""

    trusted_proxies: Networks = Field(
        "",
        description="networks of the proxies in front, as 10.0.0.0/8,::1: only these are believed who has called them, "
        "by --proxy-headers and the PROXY protocol; empty: nobody is",
    )
    proxy_headers: ProxyHeaders = Field(
        "x-forwarded",
        description="the header that these proxies write: x-forwarded (-For, -Proto, -Host) or forwarded (RFC 7239); "
        "strangers can write into the other one",
    )
    unlimited_networks: Networks = Field(
        "",
        description="networks whose addresses have no limits of their own, as 127.0.0.0/8 for a load test",
    )
    addresses_max: int = Field(
        50_000,
        ge=100,
        description="addresses (IPv6: /64 networks) remembered for each limit, 150 bytes each; with more, the newest "
        "share one",
    )
    burst_s: float = Field(
        10.0, gt=0, description="s whose share an address may use at once: all in an office reload when a node has died"
    )
    connections_per_address_max: int = Field(
        2_000,
        ge=1,
        description="connections of one address, not of a trusted proxy, then 429: a fifth of all, and more than a "
        "school behind one address has",
    )
    requests_per_s: float = Field(
        200.0, gt=0, description="requests/s of one address, then 429: of 1,000 people behind it one each in 5 s"
    )
    requests_per_s_max: float = Field(
        20_000.0, gt=0, description="requests/s of all who have limits, then 503: more than a process answers"
    )
    refusals_per_s: float = Field(
        20.0,
        gt=0,
        description="refusals/s of one address that are told; who goes on after a burst of them is cut off, and its "
        "new connections are closed unread: a tenth of its requests, so that the honest ones behind it learn when to "
        "come again",
    )
    request_bytes_per_s: float = Field(
        1_048_576.0, gt=0, description="bytes/s of requests of one address, then 429: 200 of 5 KB"
    )
    request_bytes_per_s_max: float = Field(
        104_857_600.0, gt=0, description="bytes/s of requests of all who have limits, then 503: 1 Gbit/s"
    )


class HttpSettings(GuardSettings):
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
    user_timeout_ms: int = Field(
        30_000, gt=0, description="ms that sent bytes may stay unacknowledged; then the peer is dead (TCP_USER_TIMEOUT)"
    )
    connections_max: int = Field(
        10_000, ge=1, description="connections; beyond, each gets one 503: half of the files a process may open here"
    )
    listen_backlog: int = Field(4096, ge=1, description="connections waiting to be accepted; the kernel may hold less")

    hsts_s: int = Field(
        15_552_000,
        ge=0,
        description="s for which browsers use only TLS for this host once they have: 180 days. Told only over TLS, as "
        "--trusted-proxies say; 0: never",
    )

    operators_listen: Address = Field("127.0.0.1:0", description=OPERATORS_LISTEN)

    def connection_limits(self) -> ConnectionLimits:
        return ConnectionLimits(
            self.head_timeout_s,
            self.head_bytes_max,
            self.headers_max,
            self.keep_alive_s,
            self.send_timeout_s,
            self.connections_max,
            self.hsts_s,
        )
