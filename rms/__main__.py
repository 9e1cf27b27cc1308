"""python -m rms: wires a node together, runs it, and ends it cleanly."""

import asyncio
import resource
import time
from urllib.parse import urlsplit

import structlog

from proto.http.server import address_of, build_server, listen
from rms.config import RmsSettings
from rms.door.doorway import Doorway
from rms.http.admission import Viewers
from rms.http.app import build_app
from rms.metrics import NodeStatistics
from rms.running import run_process
from rms.sending.sweep import Sweeper
from rms.upstream.registration import Identity
from rms.upstream.replicas import Upstream
from rms.videos.drain import Drain
from rms.videos.housekeeping import Housekeeper
from rms.videos.past import Past
from rms.videos.served import ServedVideos

log = structlog.stdlib.get_logger()

FILES_FOR_THE_REST = 500
"""open files kept for handshakes, gRPC and the store"""


class Node:
    """A whole RMS in the running loop."""

    def __init__(self, settings: RmsSettings) -> None:
        loop = asyncio.get_running_loop()
        self.settings = settings
        self._listener = listen(settings.listen, settings.listen_backlog)
        self.address = address_of(self._listener)
        public_url = settings.public_url or f"http://{self.address}"
        node_id = settings.node_id or urlsplit(public_url).netloc
        self.identity = Identity(node_id, time.time_ns(), public_url, settings.capacity)
        self.past = Past(settings)
        self.sweeper = Sweeper(settings, loop)
        self.served = ServedVideos(settings, self.past, self.sweeper)
        self.drain = Drain(settings, self.served, self.sweeper)
        self.upstream = Upstream(settings, self.identity, self.served, self.drain)
        self.served.use(self.upstream)
        self.housekeeper = Housekeeper(settings, self.served, self.sweeper)
        self.viewers = Viewers(settings, self.served, self.sweeper, self.drain)
        self.doorway = Doorway(settings, self.viewers) if settings.door_socket else None
        self.server = build_server(
            build_app(settings, self.viewers, self.statistics),
            settings.connection_limits(),
            stop_s=settings.stop_ms / 1000,
            offers_socket=True,
        )

    def statistics(self) -> NodeStatistics:
        return NodeStatistics(
            viewers=len(self.viewers),
            capacity=self.settings.capacity,
            videos=len(self.served),
            useless=self.served.useless,
            late=self.served.late,
            history_reads=self.past.reads,
            draining=self.drain.draining,
            sweep=self.sweeper.statistics(),
            links=self.upstream.statistics(),
        )

    async def run(self) -> None:
        """Until `stop`"""
        self.past.start()
        if self.doorway:
            self.doorway.open()
        self.upstream.start()
        house = asyncio.create_task(self.housekeeper.run(every_s=1))
        log.info("rms ready", listen=self.address, node=self.identity.node_id, capacity=self.settings.capacity)
        serving = asyncio.create_task(self.server.serve(sockets=[self._listener]))
        try:
            await serving
        finally:
            self.drain.close()
            house.cancel()
            await asyncio.gather(house, return_exceptions=True)
            await self.served.close()
            await self.past.close()
            self.sweeper.close()
            log.info("rms stopped", node=self.identity.node_id)

    async def stop(self) -> None:
        """Nobody is let in or placed here any more; the viewers are sent elsewhere; then the dispatchers forget us."""
        for listening in self.server.servers:
            listening.close()  # refused, a plain EventSource tries again; an error status would end it for good
        if self.doorway:
            self.doorway.close()
        draining = asyncio.create_task(self.drain.finish())
        self.upstream.beat_now()
        try:
            await draining
            await self.upstream.close()
        finally:
            self.server.stop()  # whatever happens: who was told to end must end


def build(settings: RmsSettings) -> Node:
    """Call it in a running loop. Raises OSError when the address can't be listened on, or a certificate be read."""
    return Node(settings.model_copy(update={"capacity": min(settings.capacity, _files_for_viewers())}))


def _files_for_viewers() -> int:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return max(1, hard - FILES_FOR_THE_REST)


if __name__ == "__main__":
    run_process("rms", RmsSettings.parse(), build)
