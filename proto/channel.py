"""How the services reach each other over gRPC: in clear, or with mutual TLS, where each side shows a certificate.

One certificate authority signs for all of them. A peer without a certificate of that authority gets no further than the
handshake; who it is beyond that, nobody asks.
"""

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
    """The contents of the three files, PEM"""

    certificate: bytes
    key: bytes
    authority: bytes


class TlsSettings(Settings):
    """The settings of a service that speaks gRPC"""

    tls_cert: str = Field("", description="file with this service's certificate, PEM; empty: gRPC in clear")
    tls_key: str = Field("", description="file with the certificate's private key, PEM")
    tls_ca: str = Field("", description="file with the authority that must have signed every peer's certificate, PEM")
    tls_required: bool = Field(False, description="true: don't start without a certificate, so that none is forgotten")

    @model_validator(mode="after")
    def _all_or_none(self) -> Self:
        given = [bool(name) for name in (self.tls_cert, self.tls_key, self.tls_ca)]
        if any(given) and not all(given):
            raise ValueError("tls_cert, tls_key and tls_ca belong together: give all three, or none")
        if self.tls_required and not all(given):
            raise ValueError("TLS is required, and no certificate is given: set tls_cert, tls_key and tls_ca")
        return self

    def tls(self) -> Tls | None:
        """None: in clear. Raises OSError if a file can't be read."""
        return load_tls(self.tls_cert, self.tls_key, self.tls_ca) if self.tls_cert else None


def load_tls(certificate: str, key: str, authority: str) -> Tls:
    """Raises OSError."""
    return Tls(*(Path(name).read_bytes() for name in (certificate, key, authority)))


def aio_channel(address: str, tls: Tls | None, options: Sequence[tuple[str, int]] = ()) -> grpc.aio.Channel:
    if tls is None:
        return grpc.aio.insecure_channel(address, options=list(options))
    return grpc.aio.secure_channel(address, _client(tls), options=list(options))


def blocking_channel(address: str, tls: Tls | None) -> grpc.Channel:
    return grpc.insecure_channel(address) if tls is None else grpc.secure_channel(address, _client(tls))


def listen(server: grpc.aio.Server, address: str, tls: Tls | None) -> int:
    """The port. Peers must show a certificate if there is one here. Raises RuntimeError if the port is taken."""
    if tls is None:
        return server.add_insecure_port(address)
    credentials = grpc.ssl_server_credentials(
        [(tls.key, tls.certificate)], root_certificates=tls.authority, require_client_auth=True
    )
    return server.add_secure_port(address, credentials)


def _client(tls: Tls) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(tls.authority, tls.key, tls.certificate)
