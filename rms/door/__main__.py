"""python -m rms.door: one port for all RMS processes of a host.

The door reads a viewer's request, asks a dispatcher which node takes the viewer, and passes the socket itself to that
node's process over a Unix socket. It proxies nothing: from then on the node and the viewer talk to each other. So a
viewer's URL survives the death of its RMS, also in a plain EventSource, which reconnects to the URL that it was
redirected to. Start the nodes with --public-url set to the door's, and --door-socket SOCKETS/NODE_ID.sock.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Mapping

import msgspec
import structlog

from proto.listening import address_of, listen
from proto.process import run_process
from proto.tasks import Supervisor, shared
from rms.config import DoorSettings
from rms.door.doorway import Handover
from rms.door.nodes import Nodes
from rms.door.places import NoPlace, Places
from rms.http.admission import TakeSocket
from rms.http.door_app import DoorFace, build_door_operators_port, build_door_server
from rms.videos.request import Refused

log = structlog.stdlib.get_logger()


class Door:
    """Belongs to one event loop."""

    def __init__(self, settings: DoorSettings) -> None:
        """Raises OSError when the address can't be listened on, or a certificate can't be read."""
        self._settings = settings
        self._places = Places(settings)
        self._nodes = Nodes(settings)
        self._listener = listen(settings.listen, settings.listen_backlog, settings.user_timeout_ms)
        self.address = address_of(self._listener)
        refused: Counter[str] = Counter()
        face = DoorFace(self, settings.retry_after_s, settings.credentials_origins_known())
        self.operators = build_door_operators_port(settings, face, refused)
        self.server = build_door_server(settings, face, refused)

    async def hand_over(
        self,
        video_id: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        http_version: str,
        caller_key: str | None,
        take: TakeSocket,
    ) -> None:
        """See rms/http/door_app.py."""
        try:
            node_id = await self._places.node_for(video_id, [])
        except NoPlace as none:
            raise Refused(503, "no_place", str(none)) from none
        fd = await take()
        if fd is None:
            raise Refused(503, "no_socket", "this connection can't be handed over: speak plain HTTP to the door")
        handover = Handover(video_id, dict(query), dict(headers), http_version, caller_key)
        packet, gone = msgspec.json.encode(handover), []
        try:
            while not await self._nodes.hand_over(node_id, packet, fd):
                gone.append(node_id)
                log.warning("node takes no viewers", node=node_id)
                if len(gone) >= self._settings.tries:
                    break  # the socket is closed, and the viewer's client tries again
                node_id = await self._places.node_for(video_id, gone)
        except NoPlace:
            pass  # the same: with the socket taken, no response can be sent
        finally:
            os.close(fd)

    async def trouble(self) -> str:
        """See rms/http/door_app.py."""
        try:
            await self._places.node_for("health", [])
        except NoPlace as none:
            return self._places.trouble or str(none)
        return ""

    async def run(self) -> None:
        """Until `stop`"""
        supervisor = Supervisor()
        supervisor.keep("follow dispatchers", self._places.follow)
        operators = shared(self.operators.run())
        log.info("door ready", listen=self.address, operators=self.operators.address, sockets=self._settings.sockets)
        try:
            await self.server.serve(sockets=[self._listener])
        finally:
            self.operators.stop()
            await asyncio.wait({operators})
            await supervisor.close()
            self._nodes.close()
            await self._places.close()
            log.info("door stopped")

    async def stop(self) -> None:
        """Makes `run` return. The door holds no viewers."""
        self.server.stop()


async def build(settings: DoorSettings) -> Door:
    """Raises OSError when the address can't be listened on, or a certificate can't be read."""
    return Door(settings)


if __name__ == "__main__":
    run_process("door", DoorSettings.parse(), build)
