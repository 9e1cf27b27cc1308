"""All dispatcher replicas together: what every one of them must be told, and the beat.

Given by a DNS name, they come and go. A new one is connected when it is found: what was published through it before,
its welcome says. One that the name has no more keeps its link for as long as that lives, because others may publish
through it until they have looked, too. After that it is let go, with one last look into history.
"""

import asyncio
from collections.abc import Collection
from functools import partial

import structlog

from history.core.ids import first_id_at
from proto import dispatch_pb2
from proto.replicas import replica_channel
from rms.clocks import monotonic_ms, wall_ms
from rms.config import RmsSettings
from rms.upstream.link import Link, LinkStatistics
from rms.upstream.registration import CLOCKS_APART_MS, Draining, Identity, Served, video_viewers

log = structlog.stdlib.get_logger()

FIRST_READ_MS = 1_000
"""after a replica was lost; then whenever it has been away for half as long again. And how long the first connection to
one may take: as long as none ever came about, nothing is read before that, so that a usual start reads nothing"""

GOODBYE_S = 0.5
"""how long a replica has to end its side of a stream"""


class Upstream:
    """All links together."""

    def __init__(self, settings: RmsSettings, identity: Identity, served: Served, draining: Draining) -> None:
        """Raises OSError if a certificate can't be read."""
        self._settings = settings
        self._identity = identity
        self._served = served
        self._draining = draining
        self._whereabouts = settings.whereabouts()
        self._tls = settings.tls()
        self._lives: dict[Link, asyncio.Task[None]] = {}
        self._unnamed_ms: dict[str, int] = {}  # addresses that the name has no more, and since when
        self._read_ms = 0  # when history was last read for what goes through a replica that can't be reached
        self._working: list[asyncio.Task[None]] = []

    @property
    def _links(self) -> Collection[Link]:
        return self._lives.keys()

    @property
    def connected(self) -> int:
        """replicas that know of this node now"""
        return sum(link.connected for link in self._links)

    def start(self) -> None:
        for address in self._whereabouts.fixed:
            self._add(address)
        self._working = [
            asyncio.create_task(self._beat()),
            asyncio.create_task(self._whereabouts.follow(self._meet)),
        ]

    def _add(self, address: str) -> None:
        open_channel = partial(replica_channel, self._whereabouts, self._tls)
        link = Link(address, self._settings, self._identity, self._served, self._draining, open_channel)
        self._lives[link] = asyncio.create_task(link.run())

    def _meet(self, found: frozenset[str]) -> None:
        """What a look-up has found"""
        known = {link.address for link in self._links}
        for address in sorted(found - known):
            self._add(address)
        self._unnamed_ms = {address: self._unnamed_ms.get(address, monotonic_ms()) for address in known - found}
        # Twice the time between look-ups: by then nobody publishes there any more.
        before_ms = monotonic_ms() - 2 * self._settings.dispatchers_lookup_ms
        for link in list(self._links):
            if not link.connected and self._unnamed_ms.get(link.address, before_ms) < before_ms:
                self._let_go(link)

    def _let_go(self, link: Link) -> None:
        log.info("dispatcher let go", dispatcher=link.address)
        self._lives.pop(link).cancel()
        since_ms = monotonic_ms() - self._read_ms if self._read_ms else link.away_ms
        self._served.catch_up(first_id_at(wall_ms() - since_ms - CLOCKS_APART_MS), live_waits=False)

    async def join(self, video_id: str) -> None:
        """Every connected replica routes the video here when this returns, or its link is being made anew. One that
        hasn't answered the hello yet isn't waited for: its link reads what is missed until it routes the video."""
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
        away_ms = [
            link.away_ms
            for link in self._links
            if not link.connected and (link.silent_ms or link.away_ms > FIRST_READ_MS)
        ]
        if not away_ms:
            self._read_ms = 0
        if not away_ms or not self.connected:
            return
        every_ms = min(self._settings.partial_read_ms_max, max(FIRST_READ_MS, max(away_ms) // 2))
        if self._read_ms and monotonic_ms() - self._read_ms < every_ms:
            return
        since_ms = monotonic_ms() - self._read_ms if self._read_ms else max(away_ms)
        self._read_ms = monotonic_ms()
        self._served.catch_up(first_id_at(wall_ms() - since_ms - CLOCKS_APART_MS), live_waits=False)

    async def close(self) -> None:
        """Every replica that is there forgets this node; one that doesn't answer sees the stream break."""
        connected = [life for link, life in self._lives.items() if link.connected]
        await asyncio.gather(*(link.close() for link in self._links))
        if connected:
            await asyncio.wait(connected, timeout=GOODBYE_S)
        tasks = [*self._working, *self._lives.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def statistics(self) -> tuple[LinkStatistics, ...]:
        return tuple(link.statistics() for link in self._links)
