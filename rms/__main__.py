"""python -m rms: wires a node together, runs it, and ends it cleanly."""

import asyncio
import re
from urllib.parse import urlsplit

import structlog

from history.opening import InvalidStoreUrl, parse_store_url
from proto.clock_watch import ClockWatch
from proto.listening import address_of, listen
from proto.open_files import raise_open_files
from proto.process import run_process
from proto.tasks import Supervisor, shared
from rms.clocks import monotonic_ms, wall_ms
from rms.config import RmsSettings
from rms.door.doorway import Doorway
from rms.http.admission import Viewers
from rms.http.allowances import Allowances
from rms.http.app import Face, build_operators_port, build_server
from rms.metrics import NodeStatistics
from rms.sending.sweep import Sweeper
from rms.upstream.registration import Identity
from rms.upstream.replicas import Upstream
from rms.videos.drain import Drain
from rms.videos.housekeeping import Housekeeper
from rms.videos.past import Past
from rms.videos.records import Records
from rms.videos.served import ServedVideos

log = structlog.stdlib.get_logger()

FILES_FOR_THE_REST = 500
"""open files kept for handshakes, gRPC and the store; half of them, where fewer than twice as many are allowed"""


class Node:
    """A whole RMS in the running loop."""

    def __init__(self, settings: RmsSettings) -> None:
        loop = asyncio.get_running_loop()
        self.settings = settings
        parse_store_url(settings.store)
        self._listener = listen(settings.listen, settings.listen_backlog, settings.user_timeout_ms)
        self.address = address_of(self._listener)
        public_url = settings.public_url or f"http://{self.address}"
        node_id = settings.node_id or re.sub(r"[\[\]]", "", urlsplit(public_url).netloc)  # an id has none
        # In nanoseconds, as it always was: to a dispatcher that knows an earlier life, a smaller number is the older.
        self.identity = Identity(node_id, wall_ms() * 1_000_000, public_url, settings.capacity)
        self.tasks = Supervisor()
        self.past = Past(settings, self.tasks)
        self.sweeper = Sweeper(settings, loop)
        self.served = ServedVideos(settings, self.past, self.sweeper, self.tasks)
        self.records = Records(settings, self.served, self.past, self.sweeper)
        self.drain = Drain(settings, self.served, self.sweeper, self.tasks)
        self.upstream = Upstream(settings, self.identity, self.served, self.drain, self.tasks)
        self.served.use(self.upstream)
        self.clock = ClockWatch(settings, self.upstream.connected_stubs, wall_ms, monotonic_ms)
        self.housekeeper = Housekeeper(settings, self.served, self.sweeper)
        self.allowances = Allowances(settings)
        self.viewers = Viewers(settings, self.served, self.sweeper, self.drain, self.allowances)
        self.face = Face(settings, self.viewers, self.statistics)
        self.operators = build_operators_port(settings, self.face, self.statistics)
        self.server = build_server(settings, self.face, self.allowances)
        self.doorway = Doorway(settings, self.viewers, self.server.adopt, self.tasks) if settings.door_socket else None

    def statistics(self) -> NodeStatistics:
        return NodeStatistics(
            viewers=len(self.viewers),
            capacity=self.settings.capacity,
            videos=len(self.served),
            useless=self.served.useless,
            too_old=self.served.too_old,
            history_reads=self.past.reads,
            history_reads_most=self.past.reads_most,
            history_trouble=self.past.trouble,
            draining=self.drain.draining,
            refused=self.allowances.refused,
            sweep=self.sweeper.statistics(),
            links=self.upstream.statistics(),
            clock=self.clock.statistics(),
        )

    async def run(self) -> None:
        """Until `stop`. Raises OSError when the door's socket can't be used."""
        try:
            if self.doorway:
                self.doorway.open()
            self.past.start()
            self.upstream.start()
            self.tasks.keep("compare clocks", self.clock.run)
            self.tasks.keep("tell of videos", self.records.run)
            self.tasks.keep("housekeeping", lambda: self.housekeeper.run(every_s=1))
            operators = shared(self.operators.run())
            log.info(
                "rms ready",
                listen=self.address,
                operators=self.operators.address,
                node=self.identity.node_id,
                capacity=self.settings.capacity,
            )
            await self.server.serve(sockets=[self._listener])
            self.operators.stop()
            await asyncio.wait({operators})
        finally:
            self.drain.close()
            await self.tasks.close()
            await self.served.close()
            await self.past.close()
            self.sweeper.close()
            log.info("rms stopped", node=self.identity.node_id)

    async def stop(self) -> None:
        """Lets no viewer in any more, sends all elsewhere, and says goodbye to the dispatchers; then `run` returns. It
        returns also if something goes wrong here, which is raised."""
        try:
            for listening in self.server.servers:
                listening.close()  # refused, a plain EventSource tries again; an error status would end it for good
            if self.doorway:
                self.doorway.close()
            draining = self.drain.finish()
            self.upstream.beat_now()
            await asyncio.wait([draining])
            await self.upstream.close()
        finally:
            self.server.stop()


async def build(settings: RmsSettings) -> Node:
    """Raises OSError when the address can't be listened on, or a certificate be read; InvalidStoreUrl."""
    return Node(settings.model_copy(update={"capacity": min(settings.capacity, _files_for_viewers())}))


def _files_for_viewers() -> int:
    files = raise_open_files()
    return files - min(FILES_FOR_THE_REST, files // 2)


if __name__ == "__main__":
    run_process("rms", RmsSettings.parse(), build, (InvalidStoreUrl,))
