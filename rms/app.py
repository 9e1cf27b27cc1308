"""The RMS's HTTP face: GET /comments/{liveVideoId} as an event stream, and health."""

import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import NamedTuple

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from history.model import InvalidVideoId, check_video_id
from history.store import StoreUnavailable
from proto.http import error_response, health_response
from rms.config import RmsSettings
from rms.drain import Drain
from rms.editions import GZIP_HEAD, stored
from rms.feed import Attach
from rms.feeds import Feeds, TooManyVideos
from rms.handoff import take_over
from rms.metrics import NodeStatistics, build_registry
from rms.position import InvalidPosition, Position, parse_position
from rms.rooms import Room, Wish, wall_ms
from rms.sse import retry_line
from rms.streamed import stream_from
from rms.sweep import Audience, Sweeper, Viewer
from rms.upstream import Upstream

STREAM_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",  # nginx passes on what comes, as it comes
    "access-control-allow-origin": "*",
    "vary": "accept-encoding",
}


def _stream_head(headers: dict[str, str]) -> bytes:
    # No length and no chunks: the body ends when the connection does, which HTTP/1.0 and 1.1 both understand.
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 200 OK\r\n{lines}connection: close\r\n\r\n".encode()


STREAM_HEAD = _stream_head(STREAM_HEADERS)
GZIP_STREAM_HEAD = _stream_head({**STREAM_HEADERS, "content-encoding": "gzip"})


def _gzip_head(first: bytes) -> bytes:
    return GZIP_STREAM_HEAD + GZIP_HEAD + stored(first)


PARAMETERS = {"backfill", "last_event_id", "max_rate"}

RATES = (1, 2, 5, 10, 20, 50, 100)
"""comments a second; one edition each, whatever is asked for. A person reads 5."""


class Asked(NamedTuple):
    """What a viewer wants"""

    video_id: str
    position: Position | None
    backfill: int
    wish: Wish


class Refused(Exception):
    """The request can't be answered with a stream: an HTTP status and why."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Viewers:
    """Lets viewers in."""

    def __init__(self, settings: RmsSettings, feeds: Feeds, sweeper: Sweeper, upstream: Upstream, drain: Drain) -> None:
        self._settings = settings
        self._feeds = feeds
        self._sweeper = sweeper
        self._upstream = upstream
        self._drain = drain
        self._entering = 0
        self._streamed = 0

    def __len__(self) -> int:
        """viewers that are here, or on their way in"""
        return len(self._sweeper) + self._entering + self._streamed

    async def stream(self, request: Request) -> Response:
        try:
            asked = self._understand(request)
            if request.method == "HEAD":
                return Response(headers=STREAM_HEADERS)
            return await self._enter(request, asked)
        except Refused as refused:
            headers = {"cache-control": "no-store"}
            if refused.status == 503:
                wait_s = self._settings.retry_after_s
                headers["retry-after"] = str(random.randint(wait_s, 2 * wait_s))
            return error_response(refused.status, refused.code, refused.message, headers)

    def _understand(self, request: Request) -> Asked:
        accept = request.headers.get("accept", "*/*")
        if "text/event-stream" not in accept and "*/*" not in accept:
            raise Refused(406, "not_acceptable", "here is an event stream: send Accept: text/event-stream")
        query = request.query_params
        unknown = set(query) - PARAMETERS
        if unknown:
            known = ", ".join(sorted(PARAMETERS))
            raise Refused(400, "unknown_parameter", f"{min(unknown)[:40]!r} is unknown: {known} are known here")
        try:
            video_id = check_video_id(request.path_params["video_id"])
            last = request.headers.get("last-event-id") or query.get("last_event_id")
            position = parse_position(last) if last else None
        except InvalidVideoId as invalid:
            raise Refused(400, "invalid_video_id", str(invalid)) from invalid
        except InvalidPosition as invalid:
            raise Refused(400, "invalid_last_event_id", str(invalid)) from invalid
        most = self._settings.backfill_max
        backfill = _number("backfill", query.get("backfill"), 0, most, min(self._settings.backfill, most))
        max_rate = _number("max_rate", query.get("max_rate"), 1, 1_000_000, 0)
        # The largest tier that isn't more than was asked for; above all tiers, the stream as it is.
        tier = None if max_rate > RATES[-1] else next((rate for rate in RATES[::-1] if rate <= max_rate), None)
        return Asked(video_id, position, backfill, Wish(tier, _takes_gzip(request.headers.get("accept-encoding", ""))))

    async def _enter(self, request: Request, asked: Asked) -> Response:
        if self._drain.draining:
            raise Refused(503, "draining", "this node takes no more viewers: ask the original URL again")
        if len(self) >= self._settings.capacity:
            raise Refused(503, "full", "this node is full: ask the original URL again later")
        self._entering += 1
        try:
            room = await self._feeds.enter(asked.video_id)
            try:
                return await self._let_in(request, room, asked)
            finally:
                self._feeds.let_go(room)
        except TooManyVideos:
            raise Refused(503, "too_many_videos", "this node serves as many videos as it may") from None
        finally:
            self._entering -= 1

    async def _let_in(self, request: Request, room: Room, asked: Asked) -> Response:
        history, read = None, True
        if asked.position is not None:
            try:
                history = await self._feeds.history_for(room, asked.position, asked.backfill)
            except StoreUnavailable:
                read = False
        find = partial(self._feeds.attach, room, asked.position, asked.backfill, history, read)
        fd = await take_over(request)
        if fd is None:
            audience = self._feeds.audience(room, asked.wish._replace(gzip=False))
            return self._streamed_response(room, audience, audience.edition.attach(find(), wall_ms()))
        try:
            audience = self._feeds.audience(room, asked.wish)
            private, offset = audience.edition.attach(find(), wall_ms())
            head = _gzip_head(self._retry()) if asked.wish.gzip else STREAM_HEAD + self._retry()
            self._sweeper.add(Viewer(fd, audience, head + private, offset))
        except BaseException:
            os.close(fd)
            raise
        return Gone()

    def _retry(self) -> bytes:
        """Jittered, so that a node's death makes no stampede."""
        retry_ms = self._settings.retry_ms
        return retry_line(random.randint(retry_ms // 2, retry_ms * 3 // 2))

    def _streamed_response(self, room: Room, audience: Audience, attach: Attach) -> Response:
        settings = self._settings
        body = stream_from(
            audience,
            self._retry() + attach.private,
            attach.offset,
            partial(self._feeds.resume, room),
            settings.chunk_bytes,
            settings.heartbeat_ms / 1000,
        )

        async def counted() -> AsyncIterator[bytes]:
            room.holds += 1
            self._streamed += 1
            try:
                async for chunk in body:
                    yield chunk
            finally:
                room.holds -= 1
                self._streamed -= 1
                await body.aclose()

        return StreamingResponse(counted(), headers=STREAM_HEADERS)

    def statistics(self) -> NodeStatistics:
        return NodeStatistics(
            viewers=len(self),
            capacity=self._settings.capacity,
            videos=len(self._feeds),
            useless=self._feeds.useless,
            draining=self._drain.draining,
            sweep=self._sweeper.statistics(),
            links=self._upstream.statistics(),
        )

    async def live(self, request: Request) -> Response:
        return health_response(True, {"viewers": len(self), "videos": len(self._feeds)})

    async def ready(self, request: Request) -> Response:
        """Ready for new viewers: a dispatcher knows of this node, there is room, and it isn't draining."""
        connected = self._upstream.connected
        ok = connected > 0 and not self._drain.draining and len(self) < self._settings.capacity
        facts = {"dispatchers": connected, "viewers": len(self), "capacity": self._settings.capacity}
        return health_response(ok, {**facts, "draining": self._drain.draining})


def _number(name: str, text: str | None, least: int, most: int, default: int) -> int:
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and least <= int(text) <= most):
        raise Refused(400, f"invalid_{name}", f"{name} is a number from {least} to {most}, not {text[:40]!r}")
    return int(text)


def _takes_gzip(accept_encoding: str) -> bool:
    for offer in accept_encoding.lower().split(","):
        coding, _, weight = offer.partition(";")
        if coding.strip() in ("gzip", "x-gzip"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


class Gone(Response):
    """The answer to a request whose socket has left the framework: nothing more is sent through it."""

    async def __call__(self, scope: object, receive: object, send: object) -> None:
        return


def build_app(viewers: Viewers) -> Starlette:
    registry = build_registry(viewers.statistics)

    async def metrics(request: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    route: Callable[[str, Callable[[Request], Awaitable[Response]]], Route] = partial(Route, methods=["GET"])
    return Starlette(
        routes=[
            route("/comments/{video_id}", viewers.stream),
            route("/health/live", viewers.live),
            route("/health/ready", viewers.ready),
            route("/health", viewers.ready),
            route("/metrics", metrics),
        ],
        middleware=[Middleware(CORSMiddleware, allow_origins=["*"], allow_headers=["last-event-id"])],
        exception_handlers={HTTPException: _http_error},
    )


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code, message = {
        404: ("not_found", "there is GET /comments/{liveVideoId} here, /health and /metrics"),
        405: ("method_not_allowed", "only GET and HEAD are allowed here"),
    }.get(error.status_code, ("http_error", str(error.detail)))
    return error_response(error.status_code, code, message, error.headers)
