"""Reads a request's body, headers and query, within limits. Raises ServiceErrors."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl, quote, urlencode

from starlette.requests import Request

from comment_service.core.errors import (
    BodyTooLarge,
    BodyTooSlow,
    InvalidCursor,
    InvalidIdempotencyKey,
    InvalidOffset,
    InvalidPagesize,
    MissingParameter,
    RepeatedParameter,
    UnknownParameter,
    UnsupportedMediaType,
)
from history.core.ids import InvalidId, parse_id
from proto.core.stream_request import POSITION_PARAMETERS, wants_poll, wants_stream

IDEMPOTENCY_KEY_CHARACTERS_MAX = 128
"""As many as in a video id: three times a UUID or a hash"""

_IDEMPOTENCY_KEY = re.compile(rf"[ -~]{{1,{IDEMPOTENCY_KEY_CHARACTERS_MAX}}}")
_JSON = re.compile(r'application/json\s*(;\s*charset\s*=\s*"?utf-8"?\s*)?;?\s*', re.IGNORECASE)
_MEANINGLESS = re.compile(
    "_|utm_.*|_g[al]|_hs(enc|mi)|(fb|g|d|y|tt|tw)clid|msclkid|[gw]braid|gad_.*|igshid|mc_[ce]id|evs_.*", re.DOTALL
)
"""Names of parameters that libraries add against caches, and that links have for statistics. Any other unknown one of a
page is refused: `page=2` would give the newest page again."""
_PAGESIZE = re.compile(r"[0-9]{1,9}")
_OFFSET = re.compile(r"[0-9]{1,11}")  # up to 3 years


async def read_body(request: Request, *, bytes_max: int, timeout_ms: int) -> bytes:
    """The whole body. Holds at most bytes_max and one chunk of it in memory.

    Raises BodyTooLarge (before reading, if the length says so), BodyTooSlow, and Starlette's ClientDisconnect when the
    client has gone.
    """
    if int(request.headers.get("content-length", 0)) > bytes_max:  # the HTTP parser has checked that it is a number
        raise BodyTooLarge(bytes_max)
    body = b""
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            async for chunk in request.stream():
                body += chunk
                if len(body) > bytes_max:
                    raise BodyTooLarge(bytes_max)
    except TimeoutError:
        raise BodyTooSlow(timeout_ms) from None
    return body


def require_json(request: Request) -> None:
    """Refuses other types. A browser sends JSON to another origin only if CORS allows it, so a foreign form can't post.

    Raises UnsupportedMediaType.
    """
    content_type = request.headers.get("content-type")
    if content_type != "application/json" and not (content_type and _JSON.fullmatch(content_type)):
        raise UnsupportedMediaType("Content-Type", content_type, "send application/json")
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise UnsupportedMediaType("Content-Encoding", encoding, "send the body without an encoding")


def idempotency_key(request: Request) -> str | None:
    """Raises InvalidIdempotencyKey."""
    key = request.headers.get("idempotency-key")
    if key is not None and not is_idempotency_key(key):
        raise InvalidIdempotencyKey(IDEMPOTENCY_KEY_CHARACTERS_MAX)
    return key


def is_idempotency_key(text: str) -> bool:
    return _IDEMPOTENCY_KEY.fullmatch(text) is not None


def wants_event_stream(request: Request) -> bool:
    """Whether the Accept headers ask for text/event-stream rather than for JSON. Every EventSource does."""
    return wants_stream(", ".join(request.headers.getlist("accept")))


def asks_to_wait(request: Request) -> bool:
    """Whether it wants from an RMS, as JSON, what a stream would bring"""
    return wants_poll(request.query_params, ", ".join(request.headers.getlist("accept")))


def page_query(request: Request, *, pagesize_default: int, pagesize_max: int) -> tuple[int | None, int]:
    """Returns the cursor (None: the newest page) and the page size. Raises an error of the query."""
    values = _query_values(request, ("cursor", "newer_than", "pagesize"))
    return _cursor(values), _pagesize(values, pagesize_default, pagesize_max)


def newer_query(request: Request, *, pagesize_default: int, pagesize_max: int) -> tuple[int, int]:
    """Returns newer_than and the page size. Raises an error of the query."""
    values = _query_values(request, ("newer_than", "pagesize"))
    if "newer_than" not in values:
        raise MissingParameter("newer_than", "give the id of a comment")
    after = _cursor({"cursor": values["newer_than"]})
    assert after is not None
    return after, _pagesize(values, pagesize_default, pagesize_max)


def replay_query(request: Request, *, pagesize_default: int, pagesize_max: int) -> tuple[int, int | None, int]:
    """Returns from_offset_ms, the cursor (None: from the offset on) and the page size. Raises an error of the query."""
    values = _query_values(request, ("from_offset_ms", "cursor", "pagesize"))
    if "from_offset_ms" not in values:
        raise MissingParameter("from_offset_ms", "give ms from the video's start")
    offset = values["from_offset_ms"]
    if not _OFFSET.fullmatch(offset):
        raise InvalidOffset(offset)
    return int(offset), _cursor(values), _pagesize(values, pagesize_default, pagesize_max)


def author_query(request: Request) -> str:
    """Returns the author's id. Raises an error of the query."""
    author_id = _query_values(request, ("author",)).get("author")
    if not author_id:
        raise MissingParameter("author", "give the id of the author whose comments are to be erased in this video")
    return author_id


def has_parameter(request: Request, name: str) -> bool:
    """A cheap test, to choose a handler. It is also true for some other names; the handler refuses them."""
    return name.encode() in request.scope["query_string"]


def _cursor(values: Mapping[str, str]) -> int | None:
    if "cursor" not in values:
        return None
    try:
        return parse_id(values["cursor"])
    except InvalidId:
        raise InvalidCursor(values["cursor"]) from None


def _pagesize(values: Mapping[str, str], default: int, most: int) -> int:
    text = values.get("pagesize")
    if text is None:
        return default
    if not _PAGESIZE.fullmatch(text) or not 1 <= int(text) <= most:
        raise InvalidPagesize(text, most)
    return int(text)


def stream_query(request: Request) -> str:
    """The query for a viewer's RMS: unchanged, but a Last-Event-ID header replaces any position in it. A browser sends
    the header when it reconnects; then the query is older."""
    raw = request.scope["query_string"].decode("latin-1")
    position = request.headers.get("last-event-id")
    if position is None:
        return quote(raw, safe=_QUERY_SAFE)
    pairs = parse_qsl(raw, keep_blank_values=True, errors="surrogateescape")
    kept = [pair for pair in pairs if pair[0] not in POSITION_PARAMETERS]
    return urlencode([*kept, ("last_event_id", position)], errors="surrogateescape")


_QUERY_SAFE = "%!$&'()*+,;=:@/?-._~[]|\\^`{}\"<>#"
"""Printable characters stay as the client wrote them. Other bytes are quoted, because a header can't contain them."""


def _query_values(request: Request, known: Sequence[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, value in parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True):
        if _MEANINGLESS.fullmatch(name):
            continue
        if name not in known:
            raise UnknownParameter(name, known)
        if name in values:
            raise RepeatedParameter(name)
        values[name] = value
    return values
