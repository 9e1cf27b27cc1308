"""Parses a viewer's request: which video, from which position on, in which form. Knows no HTTP framework, because the
door (rms/door/__main__.py) hands over requests that another process has read."""

from collections.abc import Mapping
from typing import NamedTuple

from history.core.model import InvalidVideoId, check_video_id
from proto.core.stream_request import EVENT_STREAM, POSITION_PARAMETERS, WAIT, preference, wants_poll, wants_stream
from rms.feed.editions import Form
from rms.feed.position import InvalidPosition, Position, parse_position

RATES = (1, 2, 5, 10, 20, 50, 100)
"""comments a second. Each has one edition, and what a viewer asks for is rounded down to one. A person reads 5."""

INVALID_POSITION = "invalid_last_event_id"
"""the code of a refusal"""

NUMBER_SHOWN = 40
"""characters of a malformed number that its refusal repeats"""


class StreamRequest(NamedTuple):
    """What a viewer asks for"""

    video_id: str
    position: Position | None
    """what the viewer has; None: it is new"""
    backfill: int
    form: Form
    origin: str = ""
    """of the page that asks; empty: no page of another origin does"""
    wait_s: int | None = None
    """Not None: it is to be answered once, after so many seconds at the latest"""


class Refused(Exception):
    """The request can't be answered with a stream: an HTTP status and why."""

    def __init__(self, status: int, code: str, message: str, wait_s: float = 0.0) -> None:
        """wait_s: until it is worth to try again; 0: nobody knows."""
        super().__init__(message)
        self.status, self.code, self.message, self.wait_s = status, code, message, wait_s


def parse_stream_request(
    video_id: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    backfill: int,
    backfill_max: int,
    http_version: str = "1.1",
    wait_s_max: int = 0,
) -> StreamRequest:
    """headers: by lower-case names. backfill: unless the request has a number. Other parameters are ignored: libraries
    add some against caches, and links have some for statistics. Raises Refused."""
    accept = headers.get("accept", "")
    polls = wants_poll(query, accept)
    if not polls and not preference(accept, EVENT_STREAM).weight:
        words = "here is an event stream: send Accept: text/event-stream, or wait=25 in the query for JSON"
        raise Refused(406, "not_acceptable", words)
    # A browser's EventSource repeats the query of its URL for ever, and sends the header from the second time on.
    last = headers.get("last-event-id") or position_parameter(query)
    try:
        video_id = check_video_id(video_id)
        position = parse_position(last) if last else None
    except InvalidVideoId as invalid:
        raise Refused(400, "invalid_video_id", str(invalid)) from invalid
    except InvalidPosition as invalid:
        raise Refused(400, INVALID_POSITION, str(invalid)) from invalid
    wanted = _number(query, "backfill", 0, backfill_max)
    max_rate = _number(query, "max_rate", 1, 1_000_000)
    return StreamRequest(
        video_id,
        position,
        min(backfill, backfill_max) if wanted is None else wanted,
        Form(
            None if max_rate is None else _tier(max_rate),
            takes_gzip(headers.get("accept-encoding", "")),
            chunked=http_version != "1.0",
            beat_events=_beat_events(query),
        ),
        headers.get("origin", ""),
        _number(query, WAIT, 0, wait_s_max) if polls else None,
    )


def for_a_node(query: Mapping[str, str], headers: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The parameters and headers that mean something to a node, of a request that `parse_stream_request` has taken.

    A few KB at most, however long the request was, beside the origin: the door keeps only those that it knows.
    """
    # A number that is too long stays too long, so that the node refuses it in the same words.
    known = {name: query[name][:NUMBER_SHOWN] for name in ("backfill", "max_rate", "heartbeat", WAIT) if name in query}
    needed = {"origin": headers["origin"]} if "origin" in headers else {}
    if last := headers.get("last-event-id"):
        needed["last-event-id"] = last
    elif last := position_parameter(query):
        known["last_event_id"] = last
    if wants_stream(headers.get("accept", "")):
        needed["accept"] = EVENT_STREAM
    if takes_gzip(headers.get("accept-encoding", "")):
        needed["accept-encoding"] = "gzip"
    return known, needed


def position_parameter(query: Mapping[str, str]) -> str:
    """The newest position in the query; empty: there is none"""
    return next((query[name] for name in POSITION_PARAMETERS if query.get(name)), "")


def _tier(max_rate: int) -> int | None:
    """The largest of RATES up to max_rate; None, the whole stream, if that is above all of them"""
    return None if max_rate > RATES[-1] else max(rate for rate in RATES if rate <= max_rate)


def _number(query: Mapping[str, str], name: str, least: int, most: int) -> int | None:
    """None if the query doesn't have it. Raises Refused."""
    text = query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and least <= int(text) <= most):
        wanted = f"{name} is a number from {least} to {most}"
        raise Refused(400, f"invalid_{name}", f"{wanted}, not {text[:NUMBER_SHOWN]!r}")
    return int(text)


def _beat_events(query: Mapping[str, str]) -> bool:
    """Raises Refused."""
    heartbeat = query.get("heartbeat", "comment")
    if heartbeat not in ("comment", "event"):
        raise Refused(400, "invalid_heartbeat", f"heartbeat is event or comment, not {heartbeat[:40]!r}")
    return heartbeat == "event"


def takes_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding (RFC 9110, 12.5.3) names gzip with a weight above 0"""
    for offer in accept_encoding.lower().split(","):
        coding, _, weight = offer.partition(";")
        if coding.strip() in ("gzip", "x-gzip"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
