"""Routes requests to what answers them. Nothing is decided here."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route, request_response
from starlette.types import ASGIApp, Receive, Scope, Send

from comment_service.core.admission import Admission, valid_video_id
from comment_service.core.errors import ServiceError, WrongMethod
from comment_service.http.called_nodes import CalledNodes
from comment_service.http.error_responses import ErrorResponses, Faults
from comment_service.http.fast_create import CREATE_ERROR, FastCreate
from comment_service.http.fast_page import FastPage
from comment_service.http.kept_pages import KeptPages
from comment_service.http.limits import RequestRates, limits_by_path
from comment_service.http.moderating import ModeratingApi
from comment_service.http.page_files import PageFiles
from comment_service.http.pages import Pages
from comment_service.http.request_parts import (
    asks_to_wait,
    has_parameter,
    idempotency_key,
    read_body,
    require_json,
    stream_query,
    wants_event_stream,
)
from comment_service.http.videos import VideosApi
from comment_service.http.whole_responses import WholeResponses
from comment_service.publish.placement import Placement
from comment_service.publish.publisher import Publisher
from comment_service.publish.replicas import Replicas
from comment_service.videos.gate import VideoGate
from comment_service.write.intake import Intake
from history.core.model import comment_json
from history.spool.store import SpooledStatistics
from history.store import Reader, StoreUnavailable
from proto.clock_watch import ClockStatistics
from proto.core.stream_request import WAIT
from proto.http.come_again import ComeAgain
from proto.http.connection import Shortcut
from proto.http.cors import PREFLIGHT_S, STREAM_REQUEST_HEADERS, Cors
from proto.http.guard import Guard
from proto.http.operators import OperatorsPort as OperatorsPort
from proto.http.operators import PublicHealth
from proto.http.server import HttpServer as HttpServer
from proto.http.server import build_server
from proto.http_settings import ConnectionLimits, GuardSettings
from proto.replicas import replica_numbers

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Limits of requests; config.py gives the reasons."""

    body_bytes_max: int
    body_timeout_ms: int


@dataclass(frozen=True, slots=True)
class Api:
    """What the paths lead to"""

    admission: Admission
    intake: Intake
    history: Reader
    pages: Pages
    kept_pages: KeptPages
    placement: Placement
    publisher: Publisher
    replicas: Replicas
    gate: VideoGate
    clock: Callable[[], ClockStatistics]
    spooled: Callable[[], SpooledStatistics]
    videos: VideosApi
    moderating: ModeratingApi
    page_files: PageFiles
    called_nodes: CalledNodes
    limits: HttpLimits

    async def create(self, request: Request) -> Response:
        """POST /comment/create: 200 and the comment, once it is durable. fast_create.py serves most requests."""
        if (error := request.scope.get(CREATE_ERROR)) is not None:
            raise error
        require_json(request)
        key = idempotency_key(request)
        body = await read_body(request, bytes_max=self.limits.body_bytes_max, timeout_ms=self.limits.body_timeout_ms)
        comment = await self.intake.accept(self.admission.admit(body), key)
        return Response(comment_json(comment), media_type="application/json")

    async def comments(self, request: Request) -> Response:
        """GET /comments/{video_id}: a redirect to the live stream or the long poll at an RMS, or a page"""
        if not (wants_event_stream(request) or (has_parameter(request, WAIT) and asks_to_wait(request))):
            return await (self.videos.replay if has_parameter(request, "from_offset_ms") else self.pages.varying)(
                request
            )
        video_id = valid_video_id(request.path_params["video_id"])
        await self.gate.check_known(video_id)
        query = stream_query(request)
        url = f"{await self.placement.place(video_id)}/comments/{video_id}"
        self.called_nodes.look(url, request.headers.get("host", ""))
        self.gate.expect(video_id)
        # no-store: the next viewer, and the same viewer after a cut, must be placed anew.
        return RedirectResponse(
            f"{url}?{query}" if query else url, 307, {"cache-control": "no-store", "vary": "accept"}
        )

    async def page(self, request: Request) -> Response:
        """GET /comment/{video_id}: a page, newest first"""
        return await self.pages.page(request)

    async def readiness(self) -> tuple[bool, Mapping[str, object]]:
        """Ready means that comments are accepted and the clock is right. Dispatchers are only counted, since posting
        works without them."""
        try:
            await self.history.check()
            accepts, store = True, "ok"
        except StoreUnavailable as error:
            accepts, store = False, str(error)
        clock, publisher, spooled = self.clock(), self.publisher.statistics(), self.spooled()
        if accepts and spooled.away:
            store = "away; comments wait in the spool"
        numbers = replica_numbers(self.replicas.addresses)
        is_ready = accepts and not clock.is_off
        details = {
            "store": store,
            "spooled": spooled.spool.comments,
            "clock": clock.words,
            "dispatchers_connected": self.replicas.connected(),
            "dispatchers_configured": len(self.replicas),
            "dispatcher_trouble": self.replicas.troubles,
            "publisher": {**asdict(publisher), "connected": numbers.get(publisher.connected or "")},
        }
        return is_ready, details


class Methods:
    """An ASGI endpoint with a handler for each method. Any other method gets a 405 that names them."""

    def __init__(self, **handlers: Handler) -> None:
        self._apps = {method: request_response(handler) for method, handler in handlers.items()}
        if "GET" in self._apps:
            self._apps["HEAD"] = self._apps["GET"]  # the exchange leaves the body out

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._apps.get(scope["method"])
        if scope["method"] == "OPTIONS":  # no page's preflight: whoever asks wants to know what can be done here
            app = Response(status_code=204, headers={"allow": ", ".join([*self._apps, "OPTIONS"])})
        if app is None:
            raise WrongMethod(scope["method"], tuple(self._apps))
        await app(scope, receive, send)


def make_server(
    api: Api,
    errors: ErrorResponses,
    cors_origins: list[str],
    limits: ConnectionLimits,
    guard_settings: GuardSettings,
    rates: RequestRates,
    *,
    refused: Counter[str],
    stop_s: float,
) -> HttpServer:
    """refused: counts what is refused for its number, by code. stop_s: how long requests under way may take after
    `stop`."""
    app, shortcut = make_app(api, errors, cors_origins)
    guard = Guard(guard_settings, refused)
    return build_server(app, limits, guard, stop_s=stop_s, limit_of=limits_by_path(guard, rates), shortcut=shortcut)


def make_app(api: Api, errors: ErrorResponses, cors_origins: list[str]) -> tuple[ASGIApp, Shortcut]:
    """The ASGI app, and the shortcut past it. All paths and methods are listed here."""
    health = PublicHealth(api.readiness)
    cors_rules: dict[str, Any] = {
        "allow_origins": cors_origins,
        "allow_methods": ["GET", "HEAD", "POST", "PATCH", "DELETE"],
        "allow_headers": ["content-type", "idempotency-key", *STREAM_REQUEST_HEADERS],
        "allow_credentials": cors_origins != ["*"],  # with all origins, a foreign page could act by a gateway's cookies
        "expose_headers": ["retry-after"],
        "max_age": PREFLIGHT_S,
    }
    app = Starlette(
        routes=[
            Route("/comment/create", Methods(POST=api.create)),
            Route("/comments/{video_id}", Methods(GET=api.comments, DELETE=api.moderating.author_in_video)),
            Route("/comments/{video_id}/{comment_id}", Methods(DELETE=api.moderating.erase)),
            Route("/comments/{video_id}/{comment_id}/hide", Methods(POST=api.moderating.hide)),
            Route("/comments/{video_id}/{comment_id}/restore", Methods(POST=api.moderating.restore)),
            Route("/authors/{author_id}/comments", Methods(DELETE=api.moderating.author)),
            Route("/videos", Methods(POST=api.videos.create)),
            Route("/videos/{video_id}", Methods(GET=api.videos.show, PATCH=api.videos.change)),
            Route("/videos/{video_id}/start", Methods(POST=api.videos.start)),
            Route("/videos/{video_id}/end", Methods(POST=api.videos.end)),
            Route("/comment/{video_id}", Methods(GET=api.page)),
            Route("/", Methods(GET=api.page_files.index)),
            Route("/page/{name:path}", Methods(GET=api.page_files.file)),
            Route("/health/live", Methods(GET=health.live)),
            Route("/health/ready", Methods(GET=health.ready)),
        ],
        middleware=[
            Middleware(Cors, **cors_rules),
            Middleware(ComeAgain),
            Middleware(Faults),
        ],
        exception_handlers={
            ServiceError: errors.service_error,
            StoreUnavailable: errors.store_unavailable,
            HTTPException: errors.http_exception,
            ClientDisconnect: errors.client_gone,
        },
    )
    app.router.redirect_slashes = False  # it would build a URL from the Host header, which any client can set
    whole = WholeResponses(Cors(app, **cors_rules))
    page = FastPage(whole, api.kept_pages)
    create = FastCreate(app, whole, api.admission, api.intake, body_bytes_max=api.limits.body_bytes_max)
    return app, lambda exchange, run: page.answer(exchange, run) or create.answer(exchange, run)
