"""Plays all services for the page's tests: real HTTP, real SSE, a 307 to a second port, and faults on demand.

Where it is unrealistic: one process plays all roles. A position is just an index in the order of arrival. Any body is
accepted. Everything is in memory, so an acknowledged comment is never lost.
"""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from comment_service.http.page_policy import THIS_MACHINE, page_policy
from proto.http.responses import error_response
from proto.http.server import HttpServer

PAGE = Path(__file__).resolve().parents[3] / "comment_service" / "page"
POLICY = page_policy(THIS_MACHINE, ("'self'",))
BACKFILL = 50


class Server:
    """A uvicorn server in this event loop, on a free port of 127.0.0.1"""

    def __init__(self, app: Starlette) -> None:
        self._server = HttpServer(uvicorn.Config(app, log_level="critical", lifespan="off"))
        self._socket = _free_socket()
        self._task: asyncio.Task[None] | None = None
        host, port = self._socket.getsockname()
        self.url = f"http://{host}:{port}"

    def start(self) -> None:
        """Connections are accepted from now on, and served as soon as the loop runs."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))

    async def kill(self) -> None:
        """Ends it like a killed process: the port refuses, and connections are reset."""
        if self._task is None:
            return
        self._server.force_exit = True
        self._server.stop()
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()
        await self._task
        self._task = None


class StandIn:
    """comment_service, history and dispatcher in one. `rms` is the server to which it redirects viewers."""

    def __init__(self, prefix: str = "") -> None:
        """prefix: of all paths, as a proxy adds one"""
        self._prefix = prefix
        self.arrivals: list[tuple[str, dict[str, Any], str]] = []  # event name ("" for a comment), payload, position
        self.only_in_history: list[dict[str, Any]] = []  # history has them, the stream never sent them
        self.rms: Server | None = None
        self.responses_to_posts: list[Response] = []  # each is used once, in place of accepting a comment
        self.responses_to_pages: list[Response] = []
        self.record: dict[str, Any] | None = None  # what is known of the video: told when a stream opens
        self.recording = Path()  # the file of /recording.wav
        self.posts: list[tuple[str, dict[str, Any]]] = []  # idempotency key, body
        self.cursors: list[str | None] = []
        self.last_event_ids: list[str | None] = []
        self.rates: list[str | None] = []  # the max_rate of each stream that was opened; none is thinned
        self.responses_to_streams: list[Response] = []  # of the RMS
        self.opened = asyncio.Event()  # set when a stream opens; then replaced
        self.retry_after_s = 1
        self.one_origin = False  # streams come from the same host as everything else
        self.refuses_with: int | None = None  # the status for streams, before any RMS is asked
        self.heartbeat_ms = 600_000  # as new streams are told; no other heartbeat follows
        self.held_back = ""  # what of a stream a proxy holds back: "all", its "body" or what comes "later"
        self.polls: list[str | None] = []  # the positions from which was polled
        self.polls_at_once = 0  # requests that wait, at most
        self._polling = 0
        self._by_key: dict[str, dict[str, Any]] = {}
        self._ms = int(time.time() * 1000) - 1_000_000
        self._changed = asyncio.Event()
        self._front = Server(self._front_app())

    @property
    def url(self) -> str:
        return self._front.url + self._prefix

    def start(self) -> None:
        self._front.start()
        self.start_rms()

    def start_rms(self) -> Server:
        """A new server on a new port. Viewers are redirected to it from now on."""
        routes = [Route("/comments/{video}", self._stream)]
        self.rms = Server(Starlette(routes=routes, middleware=[_cors()]))
        self.rms.start()
        return self.rms

    async def stop(self) -> None:
        self.held_back = ""
        self._wake()
        await asyncio.gather(*(server.kill() for server in (self.rms, self._front) if server))

    def comment(self, message: str, name: str = "Ann", video: str = "demo") -> dict[str, Any]:
        """A comment with the next id, not sent yet"""
        self._ms += 1
        author = {"id": f"guest:{name}", "name": name}
        created = self._ms
        return {
            "id": f"{created:012x}0000",
            "liveVideoId": video,
            "author": author,
            "message": message,
            "createdAt": created,
        }

    def say(self, message: str, name: str = "Ann") -> dict[str, Any]:
        comment = self.comment(message, name)
        self.arrive(comment)
        return comment

    def arrive(self, comment: dict[str, Any]) -> None:
        self.send("", comment, f"{comment['id']}.{len(self.arrivals)}")

    def send(self, event: str, payload: dict[str, Any], position: str = "") -> None:
        self.arrivals.append((event, payload, position))
        self._wake()

    def _wake(self) -> None:
        """Those who wait look once, and wait for the next time."""
        self._changed.set()
        self._changed = asyncio.Event()

    def comments(self, video: str) -> list[dict[str, Any]]:
        """Newest first, each once"""
        said = [*(payload for event, payload, _ in self.arrivals if not event), *self.only_in_history]
        known = {comment["id"]: comment for comment in said if comment["liveVideoId"] == video}
        return [known[comment_id] for comment_id in sorted(known, reverse=True)]

    def _front_app(self) -> Starlette:
        routes: list[BaseRoute] = [
            Route("/", lambda request: FileResponse(PAGE / "index.html", headers={"content-security-policy": POLICY})),
            Route("/comment/create", self._create, methods=["POST"]),
            Route("/comments/{video}", self._comments),
            Route("/streams/{video}", self._stream),
            Route("/recording.wav", lambda request: FileResponse(self.recording)),
            Mount("/page", StaticFiles(directory=PAGE)),
        ]
        if self._prefix:
            routes = [Mount(self._prefix, routes=routes)]
        return Starlette(routes=routes, middleware=[_cors()])

    async def _create(self, request: Request) -> Response:
        body = await request.json()
        key = request.headers["idempotency-key"]
        self.posts.append((key, body))
        if self.responses_to_posts:
            return self.responses_to_posts.pop(0)
        if key not in self._by_key:
            name = body.get("author", {}).get("name", "Anonymous")
            self._by_key[key] = self.comment(body["message"], name, body["liveVideoId"])
            self.arrive(self._by_key[key])
        return JSONResponse(self._by_key[key])

    async def _comments(self, request: Request) -> Response:
        if "text/event-stream" in request.headers["accept"] or "wait" in request.query_params:
            if self.refuses_with is not None:
                return error_response(self.refuses_with, "refused", "not for you")
            if self.rms is None:
                retry_after = {"retry-after": str(self.retry_after_s)}
                return error_response(503, "no_place", "no dispatcher answers", retry_after)
            rms = f"{self.url}/streams" if self.one_origin else f"{self.rms.url}/comments"
            return RedirectResponse(f"{rms}/{request.path_params['video']}?{request.url.query}")
        cursor = request.query_params.get("cursor")
        if "from_offset_ms" in request.query_params:
            return self._replay(request, cursor)
        self.cursors.append(cursor)
        if self.responses_to_pages:
            return self.responses_to_pages.pop(0)
        size = int(request.query_params["pagesize"])
        comments = self.comments(request.path_params["video"])
        below = [comment for comment in comments if cursor is None or comment["id"] < cursor]
        page = below[:size]
        return JSONResponse({"comments": page, "nextCursor": page[-1]["id"] if len(below) > size else None})

    def _replay(self, request: Request, cursor: str | None) -> Response:
        assert self.record is not None
        began = self.record["startedAt"]
        from_ms, size = (int(request.query_params[name]) for name in ("from_offset_ms", "pagesize"))
        said = [
            {**comment, "offsetMs": comment["createdAt"] - began}
            for comment in reversed(self.comments(request.path_params["video"]))
            if comment["createdAt"] - began >= from_ms and comment["id"] > (cursor or "")
        ]
        more = len(said) > size
        return JSONResponse({"comments": said[:size], "nextCursor": said[size - 1]["id"] if more else None})

    async def _stream(self, request: Request) -> Response:
        last = request.headers.get("last-event-id") or request.query_params.get("last_event_id")
        start = int(last.partition(".")[2]) + 1 if last else max(0, len(self.arrivals) - BACKFILL)
        if "wait" in request.query_params:
            return await self._poll(request, last, start)
        self.last_event_ids.append(last)
        self.rates.append(request.query_params.get("max_rate"))
        self.opened.set()
        self.opened = asyncio.Event()
        if self.responses_to_streams:
            return self.responses_to_streams.pop(0)
        heartbeats = request.query_params.get("heartbeat") == "event"
        while self.held_back == "all":
            await self._changed.wait()
        return StreamingResponse(
            self._frames(request.path_params["video"], start, heartbeats), media_type="text/event-stream"
        )

    async def _poll(self, request: Request, last: str | None, start: int) -> Response:
        self.polls.append(last)
        began = len(self.arrivals)
        self._polling += 1
        self.polls_at_once = max(self.polls_at_once, self._polling)
        try:
            async with asyncio.timeout(float(request.query_params["wait"])):
                while len(self.arrivals) <= start and last:
                    await self._changed.wait()
        except TimeoutError:
            pass
        finally:
            self._polling -= 1
        events = [
            {"data": payload} | ({"event": name} if name else {}) | ({"id": position} if position else {})
            for index, (name, payload, position) in enumerate(self.arrivals[start:], start)
            if name != "reconnect" or index >= began  # only to those who wait
        ]
        return JSONResponse({"events": events, "position": f"x.{len(self.arrivals) - 1}"})

    async def _frames(self, video: str, index: int, heartbeats: bool) -> AsyncIterator[bytes]:
        """Of what was sent before the stream opened, only comments; named events go to open streams only."""
        while self.held_back == "body":
            await self._changed.wait()
        if heartbeats:
            yield _frame("heartbeat", {"every_ms": self.heartbeat_ms}, "")
        if self.record is not None:
            yield _frame("video", self.record, "")
        backlog, index = self.arrivals[index:], len(self.arrivals)
        yield b":\n\n" + b"".join(_frame(*one) for one in backlog if not one[0] and one[1]["liveVideoId"] == video)
        while True:
            changed = self._changed
            new, index = self.arrivals[index:], len(self.arrivals)
            frames = [_frame(*one) for one in new if one[0] or one[1]["liveVideoId"] == video]
            if frames and self.held_back != "later":
                yield b"".join(frames)
            await changed.wait()


def _free_socket() -> socket.socket:
    """Chromium refuses to connect to some ports that belong to other protocols. The highest is 10080."""
    while True:
        found = socket.create_server(("127.0.0.1", 0))
        if found.getsockname()[1] > 10080:
            return found
        found.close()


def _cors() -> Middleware:
    return Middleware(CORSMiddleware, allow_origins=["*"], allow_headers=["*"], expose_headers=["retry-after"])


def _frame(event: str, payload: dict[str, Any], position: str) -> bytes:
    name = f"event: {event}\n".encode() if event else b""
    identity = f"id: {position}\n".encode() if position else b""
    return b"%b%bdata: %b\n\n" % (identity, name, bytes(JSONResponse(payload).body))
