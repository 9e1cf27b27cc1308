"""Tells the operator that a balancer stands in front of whom the service knows nothing: then all viewers together have
the limits of one address, and most are refused.

A stranger can write such a header, too. So a line in the log is all that happens, and there is one in a while.
"""

from collections.abc import Iterable

import structlog

from proto.core.caller import Caller

log = structlog.stdlib.get_logger()

TOLD_EVERY_S = 300.0
"""An operator who looks for the reason finds it in the last minutes' log; a stranger can make 12 lines an hour."""

HEADERS = (b"x-forwarded-for", b"forwarded")
PREFACE = "PROXY"


class UnknownProxies:
    """Belongs to one process."""

    def __init__(self) -> None:
        self._refused = 0  # since the last line
        self._due_s: float | None = None

    def refused(self, caller: Caller, headers: Iterable[tuple[bytes, bytes]], now_s: float) -> None:
        """A caller has met a limit of one address. headers: of its request, names in lower case. now_s: of a monotonic
        clock"""
        if not caller.is_told:
            written = next((name.decode() for name, _ in headers if name in HEADERS), "")
            if written:
                self.looks_like_one(caller.address, written, now_s)

    def looks_like_one(self, address: str, written: str, now_s: float) -> None:
        """It was refused, and has written such a header, or PREFACE."""
        self._refused += 1
        if self._due_s is not None and now_s < self._due_s:
            return
        log.warning(
            "a proxy that isn't trusted is refused: if it is your balancer, name its network in --trusted-proxies, or "
            "all viewers behind it have the limits of one address",
            address=address,
            written=written,
            refused=self._refused,
        )
        self._refused, self._due_s = 0, now_s + TOLD_EVERY_S
