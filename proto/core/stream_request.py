"""What the comment_service and the RMS must read alike in a request for a stream."""

import re
from collections.abc import Mapping
from typing import NamedTuple

POSITION_PARAMETERS = ("lastEventId", "evs_last_event_id", "last_event_id")
"""Query parameters with a viewer's position, the newest first. Last-Event-ID needs a preflight in requests to other
origins; so Yaffle's and amvtek's EventSource polyfills append one of the first two to the URL that they were given."""

WAIT = "wait"
"""The query parameter that makes a long poll of a request: the longest s that the answer may take"""

_WEIGHT = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")

EVENT_STREAM = "text/event-stream"
JSON = "application/json"


class Preference(NamedTuple):
    """How much a client wants a media type. The larger one is to be sent."""

    weight: float
    """0: not acceptable; up to 1"""
    precision: int
    """of the range that named it: 1 is */*, 2 is like text/*, 3 is the type itself"""


def preference(accept: str, media_type: str) -> Preference:
    """By RFC 9110, 12.5.1: the most precise range decides. accept: the header; an empty one accepts everything. A
    missing or malformed weight counts as 1."""
    kind = media_type.partition("/")[0]
    ranges = {"*/*": 1, f"{kind}/*": 2, media_type: 3}
    found = Preference(0.0, 0)
    for offer in (accept.strip() or "*/*").lower().split(","):
        name, *parameters = (part.strip() for part in offer.split(";"))
        precision = ranges.get(name, 0)
        if precision > found.precision:
            found = Preference(_weight(parameters), precision)
    return found


def wants_stream(accept: str) -> bool:
    """Whether a stream is to be sent where there is a JSON page as well. */* alone doesn't ask for a stream."""
    stream = preference(accept, EVENT_STREAM)
    return stream.precision > 1 and stream.weight > 0 and stream >= preference(accept, JSON)


def wants_poll(query: Mapping[str, str], accept: str) -> bool:
    """Whether what a stream would send is to be answered as JSON, after `wait` seconds at the latest: for clients
    behind a proxy that holds streams back"""
    return WAIT in query and not wants_stream(accept) and preference(accept, JSON).weight > 0


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            return float(value) if _WEIGHT.fullmatch(value := value.strip()) else 1.0
    return 1.0
