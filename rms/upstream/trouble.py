"""Why there is no connection to a replica: told to the log once, and to strangers in words that name no address."""

import grpc
import structlog

from proto.channel import why_unreachable

log = structlog.stdlib.get_logger()

TOLD_MAX = 5
"""lines about one replica that stays away"""


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
        self._told: set[str] = set()  # since it was last of use

    def note(self, error: Exception) -> None:
        """Each reason is told once. In the peer's own words only to the log: any stranger may ask for `words`."""
        self.words, said = _in_our_words(error), {}
        if not isinstance(error, LinkLost):
            said["detail"] = error.details() if isinstance(error, grpc.aio.AioRpcError) else str(error)
        if self.words not in self._told and len(self._told) < TOLD_MAX:
            self._told.add(self.words)
            log.warning("dispatcher can't be reached", dispatcher=self._address, reason=self.words, **said)

    def connected(self) -> None:
        """Nothing is wrong for now."""
        self.words = ""

    def over(self) -> None:
        """The connection was of use: what comes after it is told again."""
        self._told.clear()


def _in_our_words(error: Exception) -> str:
    if isinstance(error, LinkLost):
        return str(error)
    if isinstance(error, grpc.aio.AioRpcError):
        return why_unreachable(error) or f"the connection failed: {error.code().name}"
    return "the connection failed"
