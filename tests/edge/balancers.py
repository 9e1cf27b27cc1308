"""A balancer that the tests also reload."""

import signal

from scripts.balancers import HASH, KINDS, PLACED, WAYS, Balancer
from tests.waiting import eventually

__all__ = ["HASH", "KINDS", "PLACED", "WAYS", "Edge"]


class Edge(Balancer):
    async def reload(self) -> None:
        """Returns when the old process has gone: it keeps its streams for OLD_S, and the new one takes the new ones."""
        process, before = self._processes[-1], self.workers()
        if self.kind == "envoy":
            self._epoch += 1
            self._processes.append(self._process())
            await self._processes[-1].start()
        else:
            process.signal(signal.SIGUSR2 if self.kind == "haproxy" else signal.SIGHUP)
            await eventually(lambda: bool(self.workers() - before))
        await eventually(lambda: not self.workers() & before)
