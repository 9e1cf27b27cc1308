"""Opens gRPC channels and ports between the services: in clear, or with mutual TLS (both sides show certificates).

One certificate authority signs all certificates. A peer without a certificate of that authority fails the handshake.
Every peer with one may make all calls: there are no roles.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import grpc
import grpc.aio
from pydantic import Field, model_validator

from proto.settings import Settings


@dataclass(frozen=True, slots=True)
class Tls:
    """The contents of the three PEM files"""

    certificate: bytes
    key: bytes
    authority: bytes


class Unreachable(Exception):
    """No connection could be made. The message says why and names no address: anybody may read it in a health check."""


_CONNECTS_MS = 1_000
"""for the call that finds out why a channel has no connection; the channel knows at once"""

_REASONS = (
    ("errors resolving", "its name can't be looked up"),
    ("Connection refused", "nothing listens there"),
    ("WRONG_VERSION_NUMBER", "TLS: the peer speaks no TLS"),
    ("CERTIFICATE_VERIFY_FAILED", "TLS: the peer's certificate is not of our authority"),
    ("Hostname Verification", "TLS: the peer's certificate is for another name"),
    ("handshake failed", "TLS: the handshake failed"),
    ("Socket closed", "the peer closed the connection at once, as one does that wants TLS, or another certificate"),
    ("Connection reset", "the peer closed the connection at once, as one does that wants TLS, or another certificate"),
)
"""Part of gRPC's message, which names addresses and internals of the library -> our words"""


async def wait_connected(channel: grpc.aio.Channel, timeout_ms: int) -> None:
    """Returns when the channel is connected. Raises Unreachable when an attempt fails, or when none succeeds in time.

    Raises at once if the channel's last attempt has failed. The channel goes on trying by itself.
    """
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            while (state := channel.get_state(try_to_connect=True)) is not grpc.ChannelConnectivity.READY:
                if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                    raise Unreachable(await _reason(channel))
                await channel.wait_for_state_change(state)
    except TimeoutError:
        raise Unreachable(f"no connection within {timeout_ms} ms") from None


async def _reason(channel: grpc.aio.Channel) -> str:
    """Makes a call, because only a call gets the reason. Any peer answers this one, and it changes nothing there."""
    check: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/grpc.health.v1.Health/Check")
    try:
        await check(b"", timeout=_CONNECTS_MS / 1000)
    except grpc.aio.AioRpcError as error:
        return why_unreachable(error) or "the connection failed"
    return "the connection failed, and works again"


def why_unreachable(error: grpc.RpcError) -> str:
    """Why a call found no connection, in words; empty if the error comes from the peer itself"""
    details = (error.details() or "") if isinstance(error, grpc.aio.AioRpcError) else ""
    if not details.startswith(("failed to connect", "errors resolving")):
        return ""
    return next((ours for theirs, ours in _REASONS if theirs in details), "the connection failed")


class TlsSettings(Settings):
    """The settings of a service that speaks gRPC"""

    tls_cert: str = Field("", description="PEM file with this service's certificate; empty: gRPC in clear")
    tls_key: str = Field("", description="PEM file with the certificate's private key")
    tls_ca: str = Field("", description="PEM file with the authority that must have signed every peer's certificate")
    tls_required: bool = Field(
        False, description="true: refuse to start without a certificate, so that it can't be forgotten"
    )

    @model_validator(mode="after")
    def _all_or_none(self) -> Self:
        given = [bool(name) for name in (self.tls_cert, self.tls_key, self.tls_ca)]
        if any(given) and not all(given):
            raise ValueError("tls_cert, tls_key and tls_ca belong together: give all three, or none")
        if self.tls_required and not all(given):
            raise ValueError("TLS is required, and no certificate is given: set tls_cert, tls_key and tls_ca")
        return self

    def tls(self) -> Tls | None:
        """The certificate files' contents; None: in clear. Raises OSError if a file can't be read."""
        return load_tls(self.tls_cert, self.tls_key, self.tls_ca) if self.tls_cert else None


def load_tls(certificate: str, key: str, authority: str) -> Tls:
    """Raises OSError if a file can't be read."""
    return Tls(*(Path(name).read_bytes() for name in (certificate, key, authority)))


_DIRECT = (("grpc.enable_http_proxy", 0),)
"""No service is behind a proxy. gRPC would ask the one that http_proxy or grpc_proxy names, also for 127.0.0.1."""


def aio_channel(
    address: str, tls: Tls | None, options: Sequence[tuple[str, int]] = (), tls_name: str = ""
) -> grpc.aio.Channel:
    """tls_name: the name that the peer's certificate must be for; empty: the address's host."""
    if tls is None:
        return grpc.aio.insecure_channel(address, options=[*_DIRECT, *options])
    named = [("grpc.ssl_target_name_override", tls_name)] if tls_name else []
    return grpc.aio.secure_channel(address, _client(tls), options=[*_DIRECT, *options, *named])


def blocking_channel(address: str, tls: Tls | None) -> grpc.Channel:
    if tls is None:
        return grpc.insecure_channel(address, options=_DIRECT)
    return grpc.secure_channel(address, _client(tls), options=_DIRECT)


def listen(server: grpc.aio.Server, address: str, tls: Tls | None) -> int:
    """Returns the port. With `tls`, peers must show a certificate. Raises RuntimeError if the port is taken."""
    if tls is None:
        return server.add_insecure_port(address)
    credentials = grpc.ssl_server_credentials(
        [(tls.key, tls.certificate)], root_certificates=tls.authority, require_client_auth=True
    )
    return server.add_secure_port(address, credentials)


def _client(tls: Tls) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(tls.authority, tls.key, tls.certificate)
