"""What happens at this replica, for those who watch: `scripts/topology tail`.

Each watcher has a bounded queue. When it is full its oldest event is dropped and counted: a watcher is for people, and
must cost the same whether it reads or not.
"""

import asyncio
from collections import deque

from dispatcher.core.errors import LimitReached, Stopping
from proto.dispatch_pb2 import Event


class Watcher:
    def __init__(self, queued_max: int) -> None:
        self._queue: deque[Event] = deque()
        self._queued_max = queued_max
        self._lost = 0
        self._ended = False
        self._wake = asyncio.Event()

    def put(self, event: Event) -> None:
        if len(self._queue) >= self._queued_max:
            self._queue.popleft()
            self._lost += 1
        self._queue.append(event)
        self._wake.set()

    def end(self) -> None:
        self._ended = True
        self._wake.set()

    async def next(self) -> Event:
        """The oldest event. Raises Stopping when the replica ends."""
        while not self._queue:
            if self._ended:
                raise Stopping
            self._wake.clear()
            await self._wake.wait()
        event = self._queue.popleft()
        if self._lost:
            event, lost = Event(lost=self._lost), event
            event.MergeFrom(lost)
            self._lost = 0
        return event


class Events:
    def __init__(self, watchers_max: int, queued_max: int) -> None:
        self._watchers: set[Watcher] = set()
        self._watchers_max = watchers_max
        self._queued_max = queued_max

    def __len__(self) -> int:
        """How many watch"""
        return len(self._watchers)

    def open(self) -> Watcher:
        """Raises LimitReached."""
        if len(self._watchers) >= self._watchers_max:
            raise LimitReached(f"this replica takes at most {self._watchers_max} watchers")
        watcher = Watcher(self._queued_max)
        self._watchers.add(watcher)
        return watcher

    def close(self, watcher: Watcher) -> None:
        self._watchers.discard(watcher)

    def happened(self, event: Event) -> None:
        for watcher in self._watchers:
            watcher.put(event)

    def end(self) -> None:
        for watcher in self._watchers:
            watcher.end()
