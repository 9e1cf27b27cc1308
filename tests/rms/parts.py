"""Comments, events and frames for the RMS's tests."""

import json
import re
from collections.abc import Iterable, Iterator

from history.core.ids import first_id_at
from history.core.model import Author, Comment
from history.core.stream_data import comment_data
from rms.feed.event import ERASED, Event
from rms.feed.position import service_of

T0 = 1_700_000_000_000
"""ms; when the tests' talks begin"""


def comment(number: int, at_ms: int = T0, video_id: str = "v", message: str = "hello") -> Comment:
    """number tells apart comments of the same millisecond"""
    return Comment(first_id_at(at_ms) + number, video_id, Author("guest:ann", "Ann"), message, at_ms)


def event(comment: Comment, after_id: int = 0) -> Event:
    return Event(comment.id, comment_data(comment), after_id=after_id, hidden_from_id=0)


def chained(comments: Iterable[Comment]) -> list[Event]:
    """As events, in the same order, each with its service's event before it"""
    arrived = list(comments)
    after: dict[int, int] = {}
    last: dict[int, int] = {}
    for event_id in sorted(comment.id for comment in arrived):
        after[event_id] = last.get(service_of(event_id), 0)
        last[service_of(event_id)] = event_id
    return [event(comment, after[comment.id]) for comment in arrived]


def erasure(event_id: int, comment_id: int, after_id: int = 0) -> Event:
    return Event(event_id, b'{"id":"%016x"}' % comment_id, ERASED, "deleted", comment_id, after_id=after_id)


def without_chunks(stream: bytes) -> bytes:
    """What has come in HTTP's chunks until now. The last one may be cut."""
    parts, at = [], 0
    while (size_end := stream.find(b"\r\n", at)) >= 0:
        begin, size = size_end + 2, int(stream[at:size_end], 16)
        parts.append(stream[begin : begin + size])
        at = begin + size + 2
    return b"".join(parts)


def events(stream: bytes) -> Iterator[dict[str, str]]:
    """The fields of each whole event block, read as simply as can be. stream: in chunks or not"""
    if re.match(rb"[0-9a-f]+\r\n", stream):
        stream = without_chunks(stream)
    for block in stream.decode().split("\n\n")[:-1]:
        fields = [line.partition(": ") for line in block.split("\n") if line and not line.startswith(":")]
        if fields:
            yield {name: value for name, _, value in fields}


def ids(stream: bytes) -> list[int]:
    """The comments' ids in the order of the stream"""
    return [
        int(json.loads(event["data"])["id"], 16) for event in events(stream) if "event" not in event and "data" in event
    ]
