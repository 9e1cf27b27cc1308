"""Opens gRPC channels and ports between the services: in clear, or with mutual TLS (both sides show certificates).

One certificate authority signs all certificates. A peer without a certificate of that authority fails the handshake.
Every peer with one may make all calls: there are no roles. Ports and new channels use the files as they are now
(proto/tls.py). A channel keeps what it began with, also when it reconnects: who keeps one for long makes a new one when
the files have changed (proto/replicas.py).
"""

import asyncio
from collections.abc import Sequence
from typing import Self

import grpc
import grpc.aio
from pydantic import Field, model_validator

from proto.settings import Settings
from proto.tls import Pem, Tls


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
        """The certificate files; None: in clear. Raises OSError if one can't be read or they don't fit together."""
        return Tls(self.tls_cert, self.tls_key, self.tls_ca) if self.tls_cert else None


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
    """Returns the port. With `tls`, peers must show a certificate. Raises RuntimeError if the port is taken.

    Each handshake uses the certificates that are in the files then. Connections that stand aren't touched."""
    if tls is None:
        return server.add_insecure_port(address)
    given = tls.current()

    def renewed() -> grpc.ServerCertificateConfiguration | None:
        """gRPC calls it before each handshake, in a thread of its own. None: as the time before"""
        nonlocal given
        if (pem := tls.current()) is given:
            return None
        given = pem
        return _server(pem)

    credentials = grpc.dynamic_ssl_server_credentials(
        _server(given),
        renewed,  # type: ignore[arg-type]  # gRPC's stubs forget the None
        require_client_authentication=True,
    )
    return server.add_secure_port(address, credentials)


def _server(pem: Pem) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(pem.key, pem.certificate)], root_certificates=pem.authority)


def _client(tls: Tls) -> grpc.ChannelCredentials:
    pem = tls.current()
    return grpc.ssl_channel_credentials(pem.authority, pem.key, pem.certificate)
