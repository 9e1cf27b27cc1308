"""A connection of history/cassandra/connection.py through TLS, and the choice between the two.

OpenSSL's connections must not be used by two threads at once, so also reading holds the lock of the sender.
"""

import asyncio
import ssl
from contextlib import suppress
from threading import get_ident
from typing import Any

from history.cassandra.access import Access, HandshakeFailed
from history.cassandra.connection import READ_BYTES, READS_AT_ONCE, LoopConnection

NOT_NOW = (ssl.SSLWantReadError, ssl.SSLWantWriteError)
"""The kernel has no more, or no room"""


class SealedConnection(LoopConnection):
    """Uses the certificates as they are when it is made."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Blocks while it connects."""
        kwargs["ssl_context"] = self.access.context()
        super().__init__(*args, **kwargs)

    def push(self, data: bytes) -> None:
        """Sends, from any thread. What the kernel doesn't take now is sent when it has room."""
        with self._sending:
            waits = bool(self._unsent)
            self._unsent += data  # OpenSSL wants to see again what it couldn't send, so it stays at the beginning
            if not waits and not self._flush():
                self.on_loop(self._await_room)

    def _initiate_connection(self, sockaddr: Any) -> None:
        try:
            super()._initiate_connection(sockaddr)
        except ssl.SSLError as error:
            self._socket.close()
            raise HandshakeFailed(error) from error

    def _flush(self) -> bool:
        """Whether nothing more has to be sent. The caller holds the lock."""
        while self._unsent:
            try:
                sent = self._socket.send(self._unsent)
            except NOT_NOW:
                return False
            except OSError as error:
                with suppress(RuntimeError):
                    self.loop.call_soon_threadsafe(self._break, error)
                return True
            del self._unsent[:sent]
        return True

    def _send_rest(self) -> None:
        with self._sending:
            if self._flush():
                self.loop.remove_writer(self._socket.fileno())

    def _break(self, error: OSError) -> None:
        """The peer has gone. It may have said why before, as one does that refuses our certificate."""
        if not self.is_closed:
            self._read()
        self.defunct(error)

    def _read(self) -> None:
        """One read returns one record of TLS, so nothing is left in OpenSSL that the loop wouldn't see."""
        for _ in range(READS_AT_ONCE):
            try:
                with self._sending:
                    data = self._socket.recv(READ_BYTES)
            except NOT_NOW:
                break
            except OSError as error:
                self.process_io_buffer()
                self.defunct(error)
                return
            if not data:
                self.process_io_buffer()
                self.close()
                return
            self._iobuf.write(data)
        self.process_io_buffer()


def connection_class(access: Access) -> type[LoopConnection]:
    """For `Cluster(connection_class=...)`, and the loop that runs now"""
    attributes = {"loop": asyncio.get_running_loop(), "thread": get_ident(), "access": access, "refusals": {}}
    return type("ConnectionOfLoop", (SealedConnection if access.tls else LoopConnection,), attributes)
