"""Tells why there is no connection to a replica: to the log, each reason once; to strangers, without an address."""

import grpc
import structlog

from proto.channel import why_unreachable

log = structlog.stdlib.get_logger()

LINES_MAX = 5
"""in the log, about one replica that stays away"""


class LinkLost(Exception):
    """The replica could not be reached, or its stream was of no use; why, in our words."""


FAILURES = (LinkLost, grpc.RpcError, OSError)
"""what connecting to a replica may raise"""


class Trouble:
    """What is wrong with one replica"""

    def __init__(self, address: str) -> None:
        self.words = ""
        """empty while nothing is"""
        self._address = address
        self._logged: set[str] = set()  # since it was last of use

    def note(self, error: Exception) -> None:
        """Logs each reason once. The peer's own words go only there: any stranger may ask for `words`."""
        self.words, said = _in_our_words(error), {}
        if not isinstance(error, LinkLost):
            said["detail"] = error.details() if isinstance(error, grpc.aio.AioRpcError) else str(error)
        if self.words not in self._logged and len(self._logged) < LINES_MAX:
            self._logged.add(self.words)
            log.warning("dispatcher can't be reached", dispatcher=self._address, reason=self.words, **said)

    def connected(self) -> None:
        """Nothing is wrong for now."""
        self.words = ""

    def over(self) -> None:
        """The connection was of use: from now on reasons are logged again."""
        self._logged.clear()


def _in_our_words(error: Exception) -> str:
    if isinstance(error, LinkLost):
        return str(error)
    if isinstance(error, grpc.aio.AioRpcError):
        return why_unreachable(error) or f"the connection failed: {error.code().name}"
    return "the connection failed"
