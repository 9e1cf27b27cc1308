"""An event of a video's log, as a feed takes it: live from a comment_service, or read from history.

Rule: no clock, no socket. The data is made once, where the event was accepted; a node only puts a position in front.
"""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from rms.feed.position import service_of

COMMENT = "comment"
ERASED, HIDDEN, RESTORED = "erased", "hidden", "restored"
AUTHOR_PURGED = "author_purged"


class Event(msgspec.Struct, frozen=True, gc=False):
    """`kind` says what a feed does with the event beside passing it on; one that it doesn't know is only passed on."""

    id: int
    data: bytes
    """Of the server-sent event: one line. Empty: the event is counted, and no viewer gets it."""
    kind: str = COMMENT
    name: str = ""
    """Of the server-sent event; empty: it has none, as a comment"""
    target_id: int = 0
    """The comment that it is about; of AUTHOR_PURGED: the last one that is purged. 0: none"""
    author_id: str = ""
    """Of AUTHOR_PURGED: whose comments are purged"""
    after_id: int = 0
    """Between this id and its own the service has published nothing in this video"""
    hidden_from_id: int | None = None
    """From this id on the service's events may not be readable from history yet; 0: all are. None: not known"""


class Promise(NamedTuple):
    """A comment_service says that history has all of its events from one id up to another, both included."""

    service: int
    from_id: int
    up_to_id: int


def read_from(events: Iterable[Event], from_id: int) -> list[Event]:
    """Events as they were read from history, in the order of their ids and from this id on: each service has none in
    between."""
    last_of: dict[int, int] = {}
    read = []
    for event in events:
        service = service_of(event.id)
        read.append(msgspec.structs.replace(event, after_id=last_of.get(service, from_id - 1)))
        last_of[service] = event.id
    return read
