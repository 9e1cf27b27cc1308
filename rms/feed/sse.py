r"""Comments and events as the bytes of `text/event-stream` (WHATWG HTML, 9.2), such that every client reads them.

Fifteen client libraries were tried. The stream avoids what they get wrong:
- some split lines at more characters than a line feed: none of them stands in the data (history/core/stream_data.py);
- some keep an id only for the event that carries it: every event carries one, once there is one;
- some make an empty event of a block that has only `retry:`: it is written in front of the first event's own lines;
- one stumbles over a byte order mark: there is none.
"""

import msgspec

from history.core.stream_data import one_line

HEARTBEAT = b":\n"
"""A comment line without a blank line behind it, so that a lone `retry:` before it isn't made into an event"""


def frame(position: bytes, name: str, data: bytes) -> bytes:
    """position: as text. name: empty for an unnamed event, so that `onmessage` gets it. data: one line"""
    if name:
        return b"id: %b\nevent: %b\ndata: %b\n\n" % (position, name.encode(), data)
    return b"id: %b\ndata: %b\n\n" % (position, data)


def frame_position(frame: bytes) -> bytes:
    """The position that `frame` was given"""
    return frame[4 : frame.index(b"\n")]


def frame_data(frame: bytes) -> bytes:
    """The data that `frame` was given"""
    return frame[frame.index(b"\ndata: ") + 7 : -2]


def with_position(frame: bytes, position: bytes) -> bytes:
    """The same frame with another position"""
    return b"id: %b%b" % (position, frame[frame.index(b"\n") :])


def older_frame(data: bytes) -> bytes:
    """A comment from before the stream's beginning: it moves no position."""
    return b"data: %b\n\n" % data


def position_frame(position: bytes) -> bytes:
    """Clients take the position, and get no event."""
    return b"id: %b\n:\n\n" % position


def blank_frame(frame: bytes) -> bytes:
    """As long as the frame, with its position and a comment line for its data: clients take the position, and get no
    event."""
    head = frame.index(b"\n") + 1
    return frame[:head] + b":" + b" " * (len(frame) - head - 3) + b"\n\n"


def event_frame(name: str, payload: object, position: bytes | None = None) -> bytes:
    """A named event of the node's own, with a JSON payload"""
    identity = b"id: %b\n" % position if position else b""
    data = one_line(msgspec.json.encode(payload))
    return b"%bevent: %b\ndata: %b\n\n" % (identity, name.encode(), data)


def retry_line(retry_ms: int) -> bytes:
    """Stands right in front of a frame"""
    return b"retry: %d\n" % retry_ms
