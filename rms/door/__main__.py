"""python -m rms.door: one port for all RMS processes of a host.

It does the handshake, asks a dispatcher which node takes the viewer, and hands the socket itself to that node's process
over a Unix socket. From then on the door has no part in it: nothing is proxied. So a viewer's URL survives the death of
its RMS even in a plain EventSource, which reconnects to the URL that it was redirected to, and would stay with the dead
one otherwise. Start the nodes with --public-url set to the door's, and --door-socket SOCKETS/NODE_ID.sock.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec
import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from proto.http import error_response, health_response
from proto.process import run_process
from rms.config import DoorSettings
from rms.door.doorway import Handover
from rms.door.nodes import Nodes
from rms.door.places import NoPlace, Places
from rms.http.admission import STREAM_HEADERS, refusal_headers
from rms.http.app import Gone, http_error
from rms.http.handoff import take_over
from rms.http.server import build_server, listen
from rms.videos.request import Refused, parse_stream_request

log = structlog.stdlib.get_logger()

HEADERS = ("accept", "accept-encoding", "last-event-id")
"""what a node wants to know of a request's head"""


class Door:
    def __init__(self, settings: DoorSettings) -> None:
        """Raises OSError when the address can't be listened on, or a certificate can't be read."""
        self._settings = settings
        self._places = Places(settings)
        self._nodes = Nodes(settings)
        self._listener = listen(settings.listen)
        host, port = self._listener.getsockname()[:2]
        self.address = f"{host}:{port}"
        route: Callable[[str, Callable[[Request], Awaitable[Response]]], Route] = partial(Route, methods=["GET"])
        app = Starlette(
            routes=[
                route("/comments/{video_id}", self._stream),
                route("/health/live", self._live),
                route("/health/ready", self._ready),
            ],
            middleware=[Middleware(CORSMiddleware, allow_origins=["*"], allow_headers=["last-event-id"])],
            exception_handlers={HTTPException: http_error},
        )
        self.server = build_server(app, settings.head_timeout_s, settings.stop_ms)

    async def _stream(self, request: Request) -> Response:
        query = dict(request.query_params)
        headers = {name: request.headers[name] for name in HEADERS if name in request.headers}
        try:
            # The node looks again, with its own limits; what is plainly wrong isn't placed at all.
            video_id = parse_stream_request(
                request.path_params["video_id"], {**query, "backfill": "0"}, headers, 0, 0
            ).video_id
            if request.method == "HEAD":
                return Response(headers=STREAM_HEADERS)
            return await self._hand_over(request, Handover(video_id, query, headers))
        except NoPlace as none:
            return self._refuse(Refused(503, "no_place", str(none)))
        except Refused as refused:
            return self._refuse(refused)

    def _refuse(self, refused: Refused) -> Response:
        headers = refusal_headers(refused, self._settings.retry_after_s)
        return error_response(refused.status, refused.code, refused.message, headers)

    async def _hand_over(self, request: Request, handover: Handover) -> Response:
        node_id = await self._places.node_for(handover.video_id, [])
        fd = await take_over(request)
        if fd is None:
            raise Refused(503, "no_socket", "this connection can't be handed over: speak plain HTTP to the door")
        packet, gone = msgspec.json.encode(handover), []
        try:
            while not await self._nodes.hand_over(node_id, packet, fd):
                gone.append(node_id)
                log.warning("a node doesn't take viewers", node=node_id)
                if len(gone) >= self._settings.tries:
                    break  # the socket is closed, and the viewer's client comes again
                node_id = await self._places.node_for(handover.video_id, gone)
        except NoPlace:
            pass  # likewise: with the socket out of the framework there is no answering any more
        finally:
            os.close(fd)
        return Gone()

    async def _live(self, request: Request) -> Response:
        return health_response(True, {})

    async def _ready(self, request: Request) -> Response:
        try:
            await self._places.node_for("health", [])
        except NoPlace as none:
            return health_response(False, {"reason": self._places.trouble or str(none)})
        return health_response(True, {})

    async def run(self) -> None:
        """Until `stop`"""
        following = asyncio.create_task(self._places.follow())
        log.info("door ready", listen=self.address, sockets=self._settings.sockets)
        try:
            await self.server.serve(sockets=[self._listener])
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            self._nodes.close()
            await self._places.close()
            log.info("door stopped")

    async def stop(self) -> None:
        """It has no viewers to send away."""
        self.server.stop()


async def build(settings: DoorSettings) -> Door:
    """Raises as Door does."""
    return Door(settings)


if __name__ == "__main__":
    run_process("door", DoorSettings.parse(), build)
