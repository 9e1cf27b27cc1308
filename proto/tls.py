"""Reads the PEM files of one side of a TLS connection, and reads them again when they have changed.

Whoever opens a connection asks `Tls.current` just before. So a certificate is renewed by writing its files anew, and
nothing is restarted: connections that stand go on, and the next ones use the new files. The price is a stat of each
file for each new connection.

Files can't be replaced all at once. What is read meanwhile may be half a file, or a certificate beside the key of
another one. So what is read is tried before it is used, and as long as it is of no use the former contents hold.
"""

import os
import ssl
from dataclasses import dataclass
from threading import Lock

import structlog

log = structlog.stdlib.get_logger()

PEM_BYTES_MAX = 4 << 20
"""of one file: twenty times a whole system's authorities"""


@dataclass(frozen=True, slots=True)
class Pem:
    """The contents of the files. `certificate` and `key` are empty if this side shows no certificate."""

    certificate: bytes
    key: bytes
    authority: bytes


class Tls:
    """One side's certificate, its key, and the authority that must have signed the other side's certificate. For any
    thread."""

    def __init__(self, certificate: str, key: str, authority: str) -> None:
        """Names of PEM files; certificate and key may both be empty. Raises OSError if a file can't be read, or if they
        don't fit together."""
        self._names = (certificate, key, authority)
        self._lock = Lock()
        self._seen = self._stamps()
        self._pem = self._read()
        self._is_failing = False

    def current(self) -> Pem:
        """The files' contents: the same object until they change. What can't be used is logged once and tried again
        with the next call; until then the former contents are returned."""
        with self._lock:
            try:
                seen = self._stamps()
                if seen != self._seen:
                    pem = self._read()
                    if pem != self._pem:
                        self._pem = pem
                        log.info("certificates renewed", files=self._files())
                    self._seen = seen
                self._is_failing = False
            except OSError as error:
                if not self._is_failing:
                    log.warning("changed certificates can't be used, the former ones stay", reason=str(error))
                self._is_failing = True
            return self._pem

    def _files(self) -> str:
        return ", ".join(filter(None, self._names))

    def _stamps(self) -> tuple[tuple[int, ...], ...]:
        """What differs as soon as a file was written anew, or another one took its place"""
        found = [os.stat(name) for name in self._names if name]
        return tuple((each.st_dev, each.st_ino, each.st_size, each.st_mtime_ns) for each in found)

    def _read(self) -> Pem:
        """Raises OSError."""
        pem = Pem(*map(_contents, self._names))
        try:
            client_context(pem)
        except (ssl.SSLError, ValueError) as error:
            raise OSError(f"{self._files()} are no certificate, its key and an authority in PEM: {error}") from error
        return pem


def client_context(pem: Pem) -> ssl.SSLContext:
    """For connections to servers whose certificates the authority has signed, for the name by which they are called.
    Raises ssl.SSLError or ValueError if the contents don't fit together."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Bundles of authorities have their names beside them, not always in ASCII.
    context.load_verify_locations(cadata=pem.authority.decode("ascii", "ignore"))
    if pem.certificate:
        # Python takes a certificate from a file only. This one is in memory, so it has just what was read before.
        file = os.memfd_create("certificate")
        try:
            with open(file, "wb", closefd=False) as both:
                both.write(pem.certificate + b"\n" + pem.key)
            # A password: or OpenSSL would ask for one on the terminal, if the key is encrypted.
            context.load_cert_chain(f"/proc/self/fd/{file}", password="")
        finally:
            os.close(file)
    return context


def _contents(name: str) -> bytes:
    """Empty for no name. Raises OSError."""
    if not name:
        return b""
    with open(name, "rb") as file:
        found = file.read(PEM_BYTES_MAX + 1)
    if not found:
        raise OSError(f"{name} is empty")
    if len(found) > PEM_BYTES_MAX:
        raise OSError(f"{name} has more than {PEM_BYTES_MAX} bytes")
    return found
