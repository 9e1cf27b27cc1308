"""What a viewer asks for, out of its request: which video, from where on, in which form. Knows no HTTP framework: the
door (rms/door/__main__.py) hands over requests that another process has read."""

from collections.abc import Mapping
from typing import NamedTuple

from history.core.model import InvalidVideoId, check_video_id
from rms.feed.position import InvalidPosition, Position, parse_position

PARAMETERS = {"backfill", "last_event_id", "max_rate"}

RATES = (1, 2, 5, 10, 20, 50, 100)
"""comments a second; one edition each, whatever is asked for. A person reads 5."""


class Form(NamedTuple):
    """In which form a viewer wants the stream"""

    rate: int | None = None
    """at most so many comments a second"""
    gzip: bool = False


class StreamRequest(NamedTuple):
    """What a viewer wants"""

    video_id: str
    position: Position | None
    backfill: int
    form: Form


class Refused(Exception):
    """The request can't be answered with a stream: an HTTP status and why."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def parse_stream_request(
    video_id: str, query: Mapping[str, str], headers: Mapping[str, str], backfill: int, backfill_max: int
) -> StreamRequest:
    """headers: by lower-case names. backfill: for who doesn't ask for a number. Raises Refused."""
    accept = headers.get("accept", "*/*")
    if "text/event-stream" not in accept and "*/*" not in accept:
        raise Refused(406, "not_acceptable", "here is an event stream: send Accept: text/event-stream")
    unknown = set(query) - PARAMETERS
    if unknown:
        known = ", ".join(sorted(PARAMETERS))
        raise Refused(400, "unknown_parameter", f"{min(unknown)[:40]!r} is unknown: {known} are known here")
    # A browser's EventSource repeats the query of its URL for ever, and sends the header from the second time on.
    last = headers.get("last-event-id") or query.get("last_event_id")
    try:
        video_id = check_video_id(video_id)
        position = parse_position(last) if last else None
    except InvalidVideoId as invalid:
        raise Refused(400, "invalid_video_id", str(invalid)) from invalid
    except InvalidPosition as invalid:
        raise Refused(400, "invalid_last_event_id", str(invalid)) from invalid
    wanted = _number("backfill", query.get("backfill"), 0, backfill_max, min(backfill, backfill_max))
    max_rate = _number("max_rate", query.get("max_rate"), 1, 1_000_000, 0)
    # The largest tier that isn't more than was asked for; above all tiers, the stream as it is.
    tier = None if max_rate > RATES[-1] else next((rate for rate in RATES[::-1] if rate <= max_rate), None)
    return StreamRequest(video_id, position, wanted, Form(tier, takes_gzip(headers.get("accept-encoding", ""))))


def _number(name: str, text: str | None, least: int, most: int, default: int) -> int:
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and least <= int(text) <= most):
        raise Refused(400, f"invalid_{name}", f"{name} is a number from {least} to {most}, not {text[:40]!r}")
    return int(text)


def takes_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding (RFC 9110, 12.5.3) names gzip with a weight above 0"""
    for offer in accept_encoding.lower().split(","):
        coding, _, weight = offer.partition(";")
        if coding.strip() in ("gzip", "x-gzip"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
