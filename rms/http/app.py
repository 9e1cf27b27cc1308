"""The RMS's HTTP routes: GET /comments/{liveVideoId} as an event stream or a long poll, health, and metrics."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from proto.core.caller import Caller
from proto.http.come_again import ComeAgain, comes_back, start_over, stream_that_ends
from proto.http.cors import PublicCors
from proto.http.exchange import take_socket_of
from proto.http.guard import CALLER, note_refusal
from proto.http.operators import OperatorsPort, PublicHealth
from proto.http.responses import error_response
from proto.http.server import HttpServer
from proto.http.server import build_server as http_server
from proto.tasks import shared
from rms.config import RmsSettings
from rms.http.admission import STREAM_HEADERS, Viewers, refusal_headers
from rms.http.allowances import Allowances
from rms.metrics import NodeStatistics, build_registry
from rms.videos.request import INVALID_POSITION, Refused, StreamRequest, parse_stream_request

NEEDED_HEADERS = ("accept", "accept-encoding", "last-event-id", "origin")

ANSWER_HEADERS = {"cache-control": "no-store", "vary": "accept"}

Statistics = Callable[[], NodeStatistics]


class Gone(Response):
    """The response to a request whose socket was taken: it sends nothing."""

    async def __call__(self, scope: object, receive: object, send: object) -> None:
        return


class Face:
    def __init__(self, settings: RmsSettings, viewers: Viewers, statistics: Statistics) -> None:
        self._settings = settings
        self._viewers = viewers
        self._statistics = statistics

    async def stream(self, request: Request) -> Response:
        settings = self._settings
        try:
            asked = parse_stream_request(
                request.path_params["video_id"],
                request.query_params,
                needed_headers(request),
                settings.backfill,
                settings.backfill_max,
                request.scope["http_version"],
                settings.poll_wait_s_max,
            )
            if request.method == "HEAD":
                return head_of_a_stream() if asked.wait_s is None else head_of_an_answer()
            if asked.wait_s is not None:
                return await self._answer(asked, request)
            body = await self._viewers.enter(asked, partial(take_socket_of, request.scope), caller_key(request))
        except Refused as refused:
            return refusal(refused, request, settings.retry_after_s)
        return Gone() if body is None else StreamingResponse(body, headers=STREAM_HEADERS)

    async def _answer(self, asked: StreamRequest, request: Request) -> Response:
        """Raises Refused."""
        woken, gone = asyncio.Event(), shared(_gone(request))
        gone.add_done_callback(lambda _: woken.set())
        try:
            answer = await self._viewers.answer(asked, woken, gone.done, caller_key(request))
        finally:
            gone.cancel()
        return answered(msgspec.json.encode(answer))

    async def readiness(self) -> tuple[bool, Mapping[str, object]]:
        """Ready means that new viewers can come: a dispatcher knows this node, it has room, isn't draining, and its
        clock is right. Without history they get what is live."""
        now = self._statistics()
        dispatchers = sum(link.connected for link in now.links)
        facts: dict[str, object] = {"dispatchers": dispatchers, "viewers": now.viewers, "clock": now.clock.words}
        facts |= {"capacity": now.capacity, "videos": now.videos, "draining": now.draining}
        if troubles := sorted({link.trouble for link in now.links if link.trouble}):
            facts["dispatcher_trouble"] = troubles
        if now.history_trouble:
            facts["history_trouble"] = now.history_trouble
        return dispatchers > 0 and self._viewers.takes_more and not now.clock.is_off, facts


def build_server(settings: RmsSettings, face: Face, allowances: Allowances) -> HttpServer:
    return http_server(
        build_app(settings, face),
        settings.connection_limits(),
        allowances.guard,
        limit_of=allowances.limit_of,
        stop_s=settings.stop_ms / 1000,
        offers_socket=True,
    )


def build_operators_port(settings: RmsSettings, face: Face, statistics: Statistics) -> OperatorsPort:
    """Raises OSError when the address can't be listened on."""
    return OperatorsPort(settings, face.readiness, build_registry(statistics))


def build_app(settings: RmsSettings, face: Face) -> Starlette:
    health = PublicHealth(face.readiness)
    route: Callable[[str, Callable[[Request], Awaitable[Response]]], Route] = partial(Route, methods=["GET"])
    return Starlette(
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


def caller_key(request: Request) -> str | None:
    """What the limits of its address are counted by; None: it has none. Another ASGI server tells nobody's."""
    caller: Caller | None = request.scope.get(CALLER)
    return None if caller is None else caller.key


def needed_headers(request: Request) -> dict[str, str]:
    """The headers of a request that a node needs. A header may come in several lines (RFC 9110, 5.3)."""
    return {name: ", ".join(lines) for name in NEEDED_HEADERS if (lines := request.headers.getlist(name))}


def refusal(refused: Refused, request: Request, retry_after_s: int) -> Response:
    """An EventSource that comes back with a position that can't be read starts over: it would never come again."""
    if refused.status == 429:
        note_refusal(request.scope, asyncio.get_running_loop().time())
    if refused.code == INVALID_POSITION and comes_back(request.headers):
        return stream_that_ends(start_over(retry_after_s))
    return error_response(refused.status, refused.code, refused.message, refusal_headers(refused, retry_after_s))


async def _gone(request: Request) -> None:
    """Returns when the client sends nothing more. One that has only ended its own side gets its answer early."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def answered(body: bytes) -> Response:
    """The response to a long poll: for this viewer only, and only now"""
    return Response(body, media_type="application/json", headers=ANSWER_HEADERS)


def head_of_a_stream() -> Response:
    """The response to HEAD: as for GET, so without a length (RFC 9110, 9.3.2)."""
    return StreamingResponse(iter(()), headers=STREAM_HEADERS)


def head_of_an_answer() -> Response:
    return StreamingResponse(iter(()), media_type="application/json", headers=ANSWER_HEADERS)


async def http_error(request: Request, error: Exception) -> Response:
    """The response to a wrong path or method"""
    assert isinstance(error, HTTPException)
    if error.status_code == 405 and request.method == "OPTIONS":
        return Response(status_code=204, headers={"allow": "GET, HEAD, OPTIONS"})
    code, message = {
        404: ("not_found", "there is GET /comments/{liveVideoId} here"),
        405: ("method_not_allowed", "only GET and HEAD are allowed here"),
    }.get(error.status_code, ("http_error", str(error.detail)))
    return error_response(error.status_code, code, message, error.headers)
