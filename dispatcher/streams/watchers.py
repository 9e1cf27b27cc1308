"""Sends topology events to those who watch this replica: `scripts/topology tail`.

Each watcher has a bounded queue. When it is full its oldest event is dropped and counted: a watcher is for people, and
must cost the same whether it reads or not.
"""

import asyncio
import enum
from collections import deque

from dispatcher.core.errors import LimitReached, Stopping
from proto.dispatch_pb2 import TopologyEvent


class Kind(enum.StrEnum):
    """A topology event's `kind`: the first five come from replicas, the others from `scripts/topology tail` itself."""

    NODE_CONNECTED = "node_connected"
    NODE_LEFT = "node_left"
    DRAINING = "draining"
    UNDRAINED = "undrained"
    SPILL = "spill"
    FOLLOWED = "followed"
    UNREACHABLE = "unreachable"

    @property
    def words(self) -> str:
        """For people: 'node left'"""
        return self.value.replace("_", " ")


class Watcher:
    """One Events stream: a queue of at most `queued_max` events"""

    def __init__(self, queued_max: int) -> None:
        self._queue: deque[TopologyEvent] = deque()
        self._queued_max = queued_max
        self._lost = 0
        self._ended = False
        self._wake = asyncio.Event()

    def put(self, event: TopologyEvent) -> None:
        if len(self._queue) >= self._queued_max:
            self._queue.popleft()
            self._lost += 1
        self._queue.append(event)
        self._wake.set()

    def end(self) -> None:
        self._ended = True
        self._wake.set()

    async def next(self) -> TopologyEvent:
        """The oldest event; its `lost` counts those that were dropped before it. Raises Stopping when the replica ends
        and nothing is queued."""
        while not self._queue:
            if self._ended:
                raise Stopping
            self._wake.clear()
            await self._wake.wait()
        event = self._queue.popleft()
        if self._lost:
            event, queued = TopologyEvent(lost=self._lost), event  # a copy: other watchers have the same object
            event.MergeFrom(queued)
            self._lost = 0
        return event


class Watchers:
    """All watchers of a replica, at most `watchers_max`"""

    def __init__(self, watchers_max: int, queued_max: int) -> None:
        self._watchers: set[Watcher] = set()
        self._watchers_max = watchers_max
        self._queued_max = queued_max

    def __len__(self) -> int:
        return len(self._watchers)

    def open(self) -> Watcher:
        """A watcher that gets every event from now on. Raises LimitReached."""
        if len(self._watchers) >= self._watchers_max:
            raise LimitReached(f"this replica takes at most {self._watchers_max} watchers")
        watcher = Watcher(self._queued_max)
        self._watchers.add(watcher)
        return watcher

    def close(self, watcher: Watcher) -> None:
        self._watchers.discard(watcher)

    def send(self, event: TopologyEvent) -> None:
        for watcher in self._watchers:
            watcher.put(event)

    def end(self) -> None:
        """Lets each watcher have what is queued for it, and then raise Stopping."""
        for watcher in self._watchers:
            watcher.end()
