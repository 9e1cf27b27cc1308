"""Says in the log when viewers are sent to a node that the page's policy doesn't let their browsers call.

The reader would see only that no server answers, and the operator nothing at all.
"""

from collections.abc import Sequence

import structlog

from comment_service.http.page_policy import may_call

log = structlog.stdlib.get_logger()

ORIGINS_MAX = 1_000
"""looked at, each once"""


class CalledNodes:
    def __init__(self, sources: Sequence[str]) -> None:
        """sources: origins that the page may call beside its own"""
        self._sources = sources
        self._looked: set[str] = set()

    def look(self, url: str, page_host: str) -> None:
        """url: where a viewer is sent. page_host: by which that viewer calls this service"""
        if url.startswith("/"):
            return
        origin = "/".join(url.split("/", 3)[:3])
        if origin in self._looked or len(self._looked) >= ORIGINS_MAX:
            return
        self._looked.add(origin)
        if origin.partition("://")[2] != page_host and not may_call(self._sources, origin):
            log.warning("the viewer's page may not call this node: name its origin in --connect-src", node=origin)
