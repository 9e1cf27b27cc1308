"""Shows Cassandra who this process is, and knows from an error what is missing between the two.

Such an error is no outage: it stays until somebody changes a password, a certificate or a setting. So each has a
sentence that says what to do. Password and certificates are read again for each new connection.
"""

import socket
import ssl
from functools import lru_cache
from pathlib import Path
from threading import Lock

from cassandra import AuthenticationFailed
from cassandra.auth import Authenticator, AuthProvider
from cassandra.connection import ConnectionException, ConnectionShutdown, EndPoint

from history.config import CassandraAccess
from proto.tls import Pem, Tls, client_context

PROBE_S = 2.0
"""to find out whether a node that has ended a connection in clear would have spoken TLS: a handshake takes some ms"""

NO_USER = (
    "it wants a user and a password: set --cassandra-user, and --cassandra-password-file or CASSANDRA_PASSWORD in the "
    "environment"
)
WRONG_PASSWORD = "it doesn't know this user with this password: check --cassandra-user and the password"  # noqa: S105
WANTS_TLS = "it speaks only TLS: set --cassandra-tls-ca to the authority that has signed its certificate"
SPEAKS_NO_TLS = (
    "it speaks no TLS, which --cassandra-tls-ca asks for: enable client_encryption_options in its cassandra.yaml, or "
    "leave --cassandra-tls-ca out"
)
NO_CERTIFICATE = "it wants a certificate from us: set --cassandra-tls-cert and --cassandra-tls-key"
CERTIFICATE_REFUSED = (
    "it refuses our certificate: --cassandra-tls-cert must be signed by an authority in its truststore, and not be "
    "expired"
)
NO_COMMON_TLS = "it speaks another version of TLS than we do: both must allow 1.2 or 1.3"

_UNKNOWN_AUTHORITY = (
    "its certificate is of no authority in --cassandra-tls-ca: is that file the right one, and up to date?"
)
_NOT_OF_THIS_NODE = (
    "its certificate is for another name than the address by which we call it: give it one for its rpc_address; or set "
    "--cassandra-tls-check-host false, and any certificate of the authority will do"
)
_VERIFY_CODES = {
    9: "its certificate is not valid yet: is a clock off?",
    10: "its certificate has expired: renew it there, then `nodetool reloadssl`",
    62: _NOT_OF_THIS_NODE,
    64: _NOT_OF_THIS_NODE,
}
"""OpenSSL's numbers for what is wrong with a certificate; all others are about who has signed it"""

_ABOUT_OUR_CERTIFICATE = ("CERTIFICATE", "UNKNOWN_CA", "HANDSHAKE", "INTERNAL_ERROR")
"""Alerts. Cassandra 5.0 on Java 17 calls it an internal error when our certificate is of another authority."""

_UNKNOWN_USER = "and/or password are incorrect"
"""Cassandra's words. With the same code it says that it can't look a user up now, which is an outage."""


class Refused(ConnectionException):  # type: ignore[misc]  # the driver ships no types
    """There will be no connection until somebody changes something; the sentence says what. It must not be the driver's
    AuthenticationFailed: after that one the driver never tries the host again."""


class HandshakeFailed(Exception):
    """TLS. It is no OSError: of these the driver keeps only the number."""

    def __init__(self, reason: ssl.SSLError) -> None:
        super().__init__(str(reason))
        self.reason = reason


class Access:
    """What new connections show, as the files are now. For any thread."""

    def __init__(self, settings: CassandraAccess | None) -> None:
        """None: in clear and without a user. Raises OSError for certificates that can't be used."""
        self.settings = settings
        self.tls: Tls | None = None
        if settings is not None and settings.cassandra_tls_ca:
            self.tls = Tls(settings.cassandra_tls_cert, settings.cassandra_tls_key, settings.cassandra_tls_ca)
        self._lock = Lock()
        self._made: tuple[Pem, ssl.SSLContext] | None = None

    def provider(self) -> AuthProvider | None:
        """For `Cluster(auth_provider=...)`"""
        return None if self.settings is None or not self.settings.cassandra_user else _Login(self.settings)

    def context(self) -> ssl.SSLContext | None:
        """For the next connection; None: in clear"""
        if self.tls is None or self.settings is None:
            return None
        pem = self.tls.current()
        with self._lock:
            if self._made is None or self._made[0] is not pem:
                context = client_context(pem)
                context.check_hostname = self.settings.cassandra_tls_check_host
                self._made = pem, context
            return self._made[1]

    def refusal(self, error: BaseException, endpoint: EndPoint) -> str:
        """What has to be changed after a connection failed with that error; empty: nothing, it is an outage. Blocks for
        PROBE_S at most."""
        if isinstance(error, Refused):
            return str(error)
        if isinstance(error, AuthenticationFailed):
            return WRONG_PASSWORD if _UNKNOWN_USER in str(error) else ""
        if isinstance(error, HandshakeFailed):
            error = error.reason
        if isinstance(error, ssl.SSLError):
            return self._refused_handshake(error)
        is_ended = isinstance(error, ConnectionShutdown | ConnectionError | EOFError)
        return WANTS_TLS if is_ended and self.tls is None and _speaks_tls(endpoint) else ""

    def _refused_handshake(self, error: ssl.SSLError) -> str:
        if isinstance(error, ssl.SSLCertVerificationError):
            return _VERIFY_CODES.get(error.verify_code, _UNKNOWN_AUTHORITY)
        reason = error.reason or ""
        if "PROTOCOL_VERSION" in reason or "UNSUPPORTED_PROTOCOL" in reason:
            return NO_COMMON_TLS
        if "WRONG_VERSION_NUMBER" in reason or "RECORD_LAYER_FAILURE" in reason:
            return SPEAKS_NO_TLS
        if "ALERT" in reason and any(word in reason for word in _ABOUT_OUR_CERTIFICATE):
            shows_one = self.tls is not None and self.tls.current().certificate
            return CERTIFICATE_REFUSED if shows_one else NO_CERTIFICATE
        return ""


class _Login(AuthProvider):  # type: ignore[misc]
    def __init__(self, settings: CassandraAccess) -> None:
        self._settings = settings

    def new_authenticator(self, host: object) -> Authenticator:
        return _Plain(self._settings)


class _Plain(Authenticator):  # type: ignore[misc]
    """SASL's PLAIN (RFC 4616). The driver uses one object for all tries at a host, so the password is read late."""

    def __init__(self, settings: CassandraAccess) -> None:
        self._settings = settings

    def initial_response(self) -> bytes:
        """Raises Refused if there is no password file."""
        password = self._settings.cassandra_password
        if name := self._settings.cassandra_password_file:
            try:
                password = Path(name).read_text().partition("\n")[0].rstrip("\r")
            except (OSError, UnicodeError) as error:
                raise Refused(f"the password can't be read from --cassandra-password-file: {error}") from error
        return f"\0{self._settings.cassandra_user}\0{password}".encode()

    def evaluate_challenge(self, challenge: bytes) -> bytes:
        raise Refused(
            "it asks for more than a user and a password: only PasswordAuthenticator's way of logging in is known"
        )


@lru_cache(maxsize=1)
def _anything() -> ssl.SSLContext:
    """Trusts anybody: nothing is said through it"""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _speaks_tls(endpoint: EndPoint) -> bool:
    """Whether a handshake begins, even if the node wants a certificate in it"""
    try:
        with socket.create_connection(endpoint.resolve(), PROBE_S) as plain, _anything().wrap_socket(plain):
            return True
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")
    except OSError:
        return False
