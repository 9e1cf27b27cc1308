"""Comments and frames for the RMS's tests."""

import json
from collections.abc import Iterator

from history.core.ids import first_id_at
from history.core.model import Author, Comment

T0 = 1_700_000_000_000
"""ms; when the tests' talks begin"""


def comment(number: int, at_ms: int = T0, video_id: str = "v", message: str = "hello") -> Comment:
    """number tells apart comments of the same millisecond"""
    return Comment(first_id_at(at_ms) + number, video_id, Author("guest:ann", "Ann"), message, at_ms)


def events(stream: bytes) -> Iterator[dict[str, str]]:
    """The fields of each whole event block, read as simply as can be"""
    for block in stream.decode().split("\n\n")[:-1]:
        fields = [line.partition(": ") for line in block.split("\n") if line and not line.startswith(":")]
        if fields:
            yield {name: value for name, _, value in fields}


def ids(stream: bytes) -> list[int]:
    """The comments' ids in the order of the stream"""
    return [
        int(json.loads(event["data"])["id"], 16) for event in events(stream) if "event" not in event and "data" in event
    ]
