"""All dispatcher replicas together: what every one of them must be told, and the beat."""

import asyncio

from history.ids import first_id_at
from proto import dispatch_pb2
from rms.config import RmsSettings
from rms.link import Draining, Identity, Link, LinkStatistics, Served, video_viewers
from rms.rooms import monotonic_ms, wall_ms

FIRST_READ_MS = 1_000
"""after a replica was lost; then whenever it has been away for half as long again"""

CLOCKS_APART_MS = 10_000
"""how much the clocks of comment services and this node, and a comment's way, may differ: so much is read twice"""

GOODBYE_S = 0.5
"""how long a replica has to end its side of a stream"""


class Upstream:
    """All links together."""

    def __init__(self, settings: RmsSettings, identity: Identity, served: Served, draining: Draining) -> None:
        self._settings = settings
        self._served = served
        self._draining = draining
        addresses = settings.dispatchers.split(",")
        self._links = [Link(address, settings, identity, served, draining) for address in addresses]
        self._read_ms = 0  # when history was last read for what goes through a replica that can't be reached
        self._lives: list[asyncio.Task[None]] = []
        self._beats: asyncio.Task[None] | None = None

    @property
    def connected(self) -> int:
        """replicas that know of this node now"""
        return sum(link.connected for link in self._links)

    def start(self) -> None:
        self._lives = [asyncio.create_task(link.run()) for link in self._links]
        self._beats = asyncio.create_task(self._beat())

    async def join(self, video_id: str) -> None:
        """Every connected replica routes the video here when this returns, or its link is being made anew."""
        acks = {link: ack for link in self._links if (ack := link.announce(video_id, True))}
        if acks:
            await asyncio.wait(acks.values(), timeout=self._settings.interest_ack_ms / 1000)
        for link, ack in acks.items():
            if not ack.done():
                link.cut("interest not acknowledged")

    def leave(self, video_id: str) -> None:
        for link in self._links:
            link.announce(video_id, False)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(min((link.beat_ms for link in self._links if link.connected), default=100) / 1000)
            self.beat_now()

    def beat_now(self) -> None:
        """Tells all replicas what has changed, and that this node is alive."""
        connected = [link for link in self._links if link.connected]
        for link in connected:
            link.count(link is connected[0])
        if connected:
            changed, viewers = self._served.changed_viewers()
            beat = dispatch_pb2.Beat(
                videos=video_viewers(changed),
                load=dispatch_pb2.Load(viewers=viewers, useless_comments=self._served.useless),
                draining=self._draining.draining,
            )
            for link in connected:
                link.beat(beat)
            self._read_what_goes_elsewhere()

    def _read_what_goes_elsewhere(self) -> None:
        """A replica that this node can't reach may be alive, and comments go through it to others only. While another
        one is connected, history is read for them; ever more rarely, since a replica that is dead publishes nothing."""
        silent_ms = [link.silent_ms for link in self._links if not link.connected and link.silent_ms]
        if not silent_ms or not self.connected:
            self._read_ms = 0
            return
        every_ms = min(self._settings.partial_read_ms_max, max(FIRST_READ_MS, max(silent_ms) // 2))
        if self._read_ms and monotonic_ms() - self._read_ms < every_ms:
            return
        since_ms = monotonic_ms() - self._read_ms if self._read_ms else max(silent_ms)
        self._read_ms = monotonic_ms()
        self._served.catch_up(first_id_at(wall_ms() - since_ms - CLOCKS_APART_MS))

    async def close(self) -> None:
        """Every replica that is there forgets this node; one that doesn't answer sees the stream break."""
        if self._beats is None:
            return
        connected = [life for link, life in zip(self._links, self._lives, strict=True) if link.connected]
        await asyncio.gather(*(link.close() for link in self._links))
        if connected:
            await asyncio.wait(connected, timeout=GOODBYE_S)
        tasks = [self._beats, *self._lives]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def statistics(self) -> tuple[LinkStatistics, ...]:
        return tuple(link.statistics() for link in self._links)
