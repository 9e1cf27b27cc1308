"""Which requests of other origins' pages browsers let through (fetch.spec.whatwg.org, 3.2)."""

from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Send

from proto.http.responses import error_response

STREAM_REQUEST_HEADERS = ("last-event-id", "cache-control", "x-requested-with", "authorization")
"""What clients of event streams send beside Accept: their position; `no-cache`, as npm's eventsource and
react-native-sse do; the mark of libraries on XMLHttpRequest; a token for a gateway before us"""


PREFLIGHT_S = 7_200
"""A browser asks again whether it may send a request after so many s: the most that Chromium keeps an answer for"""


class Cors(CORSMiddleware):
    """Starlette's CORS, whose refusals have the same form as all other errors"""

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        if response.status_code == 200:
            return response
        kept = {name: value for name, value in response.headers.items() if not name.startswith("content-")}
        return error_response(400, "cors_refused", bytes(response.body).decode(), kept)


class PublicCors(Cors):
    """For streams: every page may read. Pages of some origins may also do it with credentials, for a gateway before us;
    a browser then takes only its page's own origin, not `*`."""

    def __init__(self, app: ASGIApp, /, credentials_origins: Collection[str]) -> None:
        super().__init__(
            app,
            allow_origins=["*"],
            allow_headers=STREAM_REQUEST_HEADERS,
            expose_headers=["retry-after"],
            max_age=PREFLIGHT_S,
        )
        self._credentials_origins = credentials_origins

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        response.headers.update(origin_headers(request_headers["origin"], self._credentials_origins))
        return response

    async def send(self, message: Message, send: Send, request_headers: Headers) -> None:
        origin = request_headers.get("origin", "")

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(origin_headers(origin, self._credentials_origins))
            await send(message)

        await super().send(message, named, request_headers)


def origin_headers(origin: str, credentials_origins: Collection[str]) -> dict[str, str]:
    """Which pages may read a response. origin: the request's; empty: it has none."""
    if origin in credentials_origins:
        return {"access-control-allow-origin": origin, "access-control-allow-credentials": "true"}
    return {"access-control-allow-origin": "*"}
