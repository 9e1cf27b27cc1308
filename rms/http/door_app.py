"""The door's HTTP routes: GET /comments/{liveVideoId}, whose socket goes to a node, and health."""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import Protocol

from prometheus_client.core import CollectorRegistry
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from proto.core.stream_request import WAIT
from proto.http.come_again import ComeAgain
from proto.http.cors import PublicCors
from proto.http.exchange import take_socket_of
from proto.http.guard import Guard
from proto.http.operators import OperatorsPort, PublicHealth
from proto.http.server import HttpServer, build_server
from rms.config import DoorSettings
from rms.http.admission import TakeSocket
from rms.http.allowances import streams_limit
from rms.http.app import (
    Gone,
    caller_key,
    head_of_a_stream,
    head_of_an_answer,
    http_error,
    needed_headers,
    refusal,
)
from rms.metrics import DoorCollector
from rms.videos.request import Refused, for_a_node, parse_stream_request


class HandsOver(Protocol):
    """What the door does with a viewer"""

    async def hand_over(
        self,
        video_id: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        http_version: str,
        caller_key: str | None,
        take: TakeSocket,
    ) -> None:
        """Gives the viewer's socket to a node. Raises Refused; then it was not taken."""

    async def trouble(self) -> str:
        """Why no viewer can be placed now; empty: one can"""


class DoorFace:
    def __init__(self, door: HandsOver, retry_after_s: int, credentials_origins: Collection[str]) -> None:
        self._door = door
        self._credentials_origins = credentials_origins
        self._retry_after_s = retry_after_s

    async def stream(self, request: Request) -> Response:
        query, headers = request.query_params, needed_headers(request)
        if headers.get("origin") not in self._credentials_origins:
            headers.pop("origin", None)  # of any length, and of no use to the node
        try:
            # The node checks again, with its own limits. What is plainly wrong isn't placed at all.
            in_limits = {**query, "backfill": "0"} | ({WAIT: "0"} if WAIT in query else {})
            asked = parse_stream_request(request.path_params["video_id"], in_limits, headers, 0, 0)
            if request.method == "HEAD":
                return head_of_a_stream() if asked.wait_s is None else head_of_an_answer()
            version, take = request.scope["http_version"], partial(take_socket_of, request.scope)
            await self._door.hand_over(asked.video_id, *for_a_node(query, headers), version, caller_key(request), take)
        except Refused as refused:
            return refusal(refused, request, self._retry_after_s)
        return Gone()

    async def readiness(self) -> tuple[bool, Mapping[str, object]]:
        trouble = await self._door.trouble()
        return not trouble, {"reason": trouble} if trouble else {}


def build_door_operators_port(settings: DoorSettings, face: DoorFace, refused: Mapping[str, int]) -> OperatorsPort:
    """refused: counts by code. Raises OSError when the address can't be listened on."""
    registry = CollectorRegistry()
    registry.register(DoorCollector(refused))
    return OperatorsPort(settings, face.readiness, registry)


def build_door_server(settings: DoorSettings, face: DoorFace, refused: Counter[str]) -> HttpServer:
    """refused: counts what is refused for its number, by code."""
    health = PublicHealth(face.readiness)
    route: Callable[[str, Callable[[Request], Awaitable[Response]]], Route] = partial(Route, methods=["GET"])
    app = Starlette(
        routes=[
            route("/comments/{video_id}", face.stream),
            route("/health/live", health.live),
            route("/health/ready", health.ready),
        ],
        middleware=[
            Middleware(PublicCors, credentials_origins=settings.credentials_origins_known()),
            Middleware(ComeAgain),
        ],
        exception_handlers={HTTPException: http_error},
    )
    guard = Guard(settings, refused)
    return build_server(
        app,
        settings.connection_limits(),
        guard,
        limit_of=streams_limit(guard, settings),
        stop_s=settings.stop_ms / 1000,
        offers_socket=True,
    )
