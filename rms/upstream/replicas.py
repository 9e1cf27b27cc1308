"""All dispatcher replicas together: announces to each what is served here, and sends the beats.

Given by a DNS name, replicas come and go. A new one is connected when it is found: what was published through it
before, its welcome tells. One that the name has no more keeps its link for as long as that lives, because others may
publish through it until they have looked the name up, too. Then its link is removed, after one last read of history.
"""

import asyncio
from collections.abc import Collection
from functools import partial
from typing import TYPE_CHECKING

import structlog

from history.core.ids import first_id_at
from proto import dispatch_pb2
from proto.replicas import replica_channel
from proto.tasks import Supervisor
from rms.clocks import monotonic_ms, wall_ms
from rms.config import RmsSettings
from rms.upstream.link import Link, LinkStatistics
from rms.upstream.registration import CLOCKS_APART_MS, Draining, Identity, Served, video_viewers

if TYPE_CHECKING:
    from proto.dispatch_pb2_grpc import DispatcherAsyncStub

log = structlog.stdlib.get_logger()

FIRST_READ_MS = 1_000
"""from the loss of a replica to the first read; the next ones are due whenever it has been away for half as long again.
Also the time for the first connection to a replica: within it nothing is read, so that a usual start reads nothing."""

ACK_WAITS = 5
"""times `interest_ack_ms`, until a replica is given up that talks and doesn't acknowledge. When thousands of videos
open at once, it is this node that is late: what the replica has said waits to be read, and a new link would make all of
them read history once more."""

GOODBYE_S = 0.5
"""how long a replica has to end its side of a stream"""

IDLE_BEAT_MS = 100
"""between two beats while no replica is connected that could say how often it wants them"""


class Upstream:
    """The links to all replicas."""

    def __init__(
        self, settings: RmsSettings, identity: Identity, served: Served, draining: Draining, tasks: Supervisor
    ) -> None:
        """Raises OSError if a certificate can't be read."""
        self._settings = settings
        self._identity = identity
        self._served = served
        self._draining = draining
        self._tasks = tasks
        self._replica_addresses = settings.replica_addresses()
        self._tls = settings.tls()
        self._lives: dict[Link, asyncio.Task[None]] = {}
        self._unnamed_since_ms: dict[str, int] = {}  # monotonic; of the addresses that the name has no more
        self._read_ms: int | None = None  # monotonic; when history was last read because a replica can't be reached
        self._working: list[asyncio.Task[None]] = []

    @property
    def _links(self) -> Collection[Link]:
        return self._lives.keys()

    @property
    def connected(self) -> int:
        """replicas that know of this node now"""
        return sum(link.connected for link in self._links)

    def connected_stubs(self) -> "dict[str, DispatcherAsyncStub]":
        """Of the replicas that know of this node now, by address"""
        return {link.address: link.stub for link in self._links if link.stub is not None and link.connected}

    def start(self) -> None:
        for address in self._replica_addresses.fixed:
            self._add(address)
        self._working = [
            self._tasks.keep("beat", self._beat),
            self._tasks.keep("look-up of dispatchers", lambda: self._replica_addresses.follow(self._take_found)),
        ]

    def _add(self, address: str) -> None:
        open_channel = partial(replica_channel, self._replica_addresses, self._tls)
        link = Link(address, self._settings, self._identity, self._served, self._draining, open_channel)
        self._lives[link] = self._tasks.keep(f"link to {address}", link.run)

    def _take_found(self, found: frozenset[str]) -> None:
        """found: the addresses that the name has now"""
        known = {link.address for link in self._links}
        for address in sorted(found - known):
            self._add(address)
        now_ms = monotonic_ms()
        self._unnamed_since_ms = {address: self._unnamed_since_ms.get(address, now_ms) for address in known - found}
        # Twice the time between look-ups: by then nobody publishes there any more.
        before_ms = now_ms - 2 * self._settings.dispatchers_lookup_ms
        for link in list(self._links):
            if not link.connected and self._unnamed_since_ms.get(link.address, before_ms) < before_ms:
                self._remove(link)

    def _remove(self, link: Link) -> None:
        log.info("dispatcher removed", dispatcher=link.address)
        self._lives.pop(link).cancel()
        self._read_since(link.away_ms if self._read_ms is None else monotonic_ms() - self._read_ms)

    async def join(self, video_id: str) -> None:
        """Every connected replica routes the video here when this returns, or its link is being made anew. One that
        hasn't answered the hello yet isn't waited for: its link reads what is missed until it routes the video."""
        acks = {link: ack for link in self._links if (ack := link.announce(video_id, True))}
        for last in (False,) * (ACK_WAITS - 1) + (True,):
            if acks:
                await asyncio.wait(acks.values(), timeout=self._settings.interest_ack_ms / 1000)
            acks = {link: ack for link, ack in acks.items() if not ack.done()}
            for link in [link for link in acks if last or link.away_ms >= self._settings.interest_ack_ms]:
                link.cut("interest not acknowledged")
                del acks[link]

    def missed_from(self) -> int | None:
        """Events from this id on may have gone by this node, for no replica reaches it. None: one does."""
        if any(link.alive for link in self._links):
            return None
        away_ms = min((link.away_ms for link in self._links), default=0)
        return first_id_at(wall_ms() - away_ms - CLOCKS_APART_MS)

    def leave(self, video_id: str) -> None:
        for link in self._links:
            link.announce(video_id, False)

    async def _beat(self) -> None:
        while True:
            wanted_ms = [beat_ms for link in self._links if (beat_ms := link.beat_ms)]
            await asyncio.sleep(min(wanted_ms, default=IDLE_BEAT_MS) / 1000)
            self.beat_now()

    def beat_now(self) -> None:
        """Reports to all replicas what has changed, and that this node is alive. An error at one link is logged, and
        keeps no beat from the others."""
        connected = [link for link in self._links if link.connected]
        away_ms = self._away_ms()
        self._served.sure_until(None if away_ms is None else wall_ms() - away_ms - CLOCKS_APART_MS)
        self._read_what_goes_by(away_ms)
        if not connected:
            return
        changed, viewers = self._served.changed_viewers()
        beat = dispatch_pb2.Beat(
            videos=video_viewers(changed),
            load=dispatch_pb2.Load(viewers=viewers, useless_events=self._served.useless),
            draining=self._draining.draining,
        )
        for link in self._links:  # a hello may have been said, and not answered yet: the next beat has no older changes
            try:
                link.use_totals(link is connected[0])
                link.beat(beat)
            except Exception as error:
                log.exception("beat failed", dispatcher=link.address, reason=repr(error))

    def _away_ms(self) -> int | None:
        """How long a replica can't be reached through which comments may go; of several the longest. None: there is
        none."""
        return max(
            (
                link.away_ms
                for link in self._links
                if not link.connected and (link.silent_ms is not None or link.away_ms > FIRST_READ_MS)
            ),
            default=None,
        )

    def _read_what_goes_by(self, away_ms: int | None) -> None:
        """A replica that this node can't reach may be alive, and comments go through it to others only. So history is
        read for them."""
        if away_ms is None:
            self._read_ms = None
            return
        now_ms = monotonic_ms()
        since_ms = away_ms if self._read_ms is None else now_ms - self._read_ms
        if self._read_ms is None or since_ms >= self._read_every_ms(away_ms):
            self._read_ms = now_ms
            self._read_since(since_ms)

    def _read_every_ms(self, away_ms: int) -> int:
        """While another replica is connected ever more rarely, since one that is dead publishes nothing. If none is,
        viewers get nothing on any other way: then as often as the store can bear from all nodes."""
        settings = self._settings
        if any(link.connected for link in self._links):
            return min(settings.partial_read_ms_max, max(FIRST_READ_MS, away_ms // 2))
        return max(FIRST_READ_MS, len(self._served) * 1_000 // settings.isolated_reads_per_s)

    def _read_since(self, ms_ago: int) -> None:
        """For comments of so many milliseconds that were published through a replica that this node couldn't reach"""
        self._served.catch_up(first_id_at(wall_ms() - ms_ago - CLOCKS_APART_MS), live_waits=False)

    async def close(self) -> None:
        """Says goodbye to every replica. One that doesn't answer within GOODBYE_S sees its stream break."""
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
