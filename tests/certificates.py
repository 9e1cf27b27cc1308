"""Certificates for tests, made by scripts/certs: files of a folder, renewed as an operator renews them."""

import os
import socket
import ssl
import subprocess
from pathlib import Path

from proto.tls import Tls, client_context
from tests.test_house import ROOT


def make_certificates(folder: Path, *names: str, days: int = 365) -> None:
    """An authority, if the folder has none, and a new certificate for each service. days: below 0 they have expired."""
    environment = {**os.environ, "DAYS": str(days)}
    subprocess.run([ROOT / "scripts" / "certs", folder, *names], check=True, capture_output=True, env=environment)


def files(folder: Path, name: str) -> tuple[str, str, str]:
    return str(folder / f"{name}.pem"), str(folder / f"{name}.key"), str(folder / "ca.pem")


def tls_of(folder: Path, name: str) -> Tls:
    return Tls(*files(folder, name))


def new_authority(folder: Path) -> bytes:
    """The next certificates are of another authority; nobody is told. Returns the former authority's certificate."""
    former = (folder / "ca.pem").read_bytes()
    (folder / "ca.key").unlink()
    return former


def serial(path: Path) -> str:
    """The serial number of a certificate, in hex"""
    shown = subprocess.run(
        ["openssl", "x509", "-in", path, "-noout", "-serial"], check=True, capture_output=True, text=True
    )
    return shown.stdout.strip().removeprefix("serial=")


def shown_serial(address: str, tls: Tls) -> str:
    """The serial number of the certificate that a server shows to a client that shows its own"""
    host, port = address.split(":")
    context = client_context(tls.current())
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection((host, int(port)), 10) as plain,
        context.wrap_socket(plain, server_hostname=host) as connection,
    ):
        return str((connection.getpeercert() or {})["serialNumber"])


def trusted(path: Path) -> int:
    """How many authorities a bundle has"""
    return len(ssl.create_default_context(cafile=str(path)).get_ca_certs())
