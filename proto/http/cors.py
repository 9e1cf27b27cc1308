"""Which requests of other origins' pages browsers let through (fetch.spec.whatwg.org, 3.2)."""

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from proto.http.responses import error_response

STREAM_REQUEST_HEADERS = ("last-event-id", "cache-control", "x-requested-with", "authorization")
"""What clients of event streams send beside Accept: their position; `no-cache`, as npm's eventsource and
react-native-sse do; the mark of libraries on XMLHttpRequest; a token for a gateway before us"""


class Cors(CORSMiddleware):
    """Starlette's CORS, whose refusals have the same form as all other errors"""

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        if response.status_code == 200:
            return response
        kept = {name: value for name, value in response.headers.items() if not name.startswith("content-")}
        return error_response(400, "cors_refused", bytes(response.body).decode(), kept)
