r"""Comments and events as the bytes of `text/event-stream` (WHATWG HTML, 9.2), such that every client reads them.

Fifteen client libraries were tried. The stream avoids what they get wrong:
- some split lines at more characters than a line feed: none of them stands in the data (history/core/stream_data.py);
- some keep an id only for the event that carries it: every event carries one, once there is one;
- some make an empty event of a block that has only `retry:`: it is written in front of the first event's own lines;
- one stumbles over a byte order mark: there is none;
- those that read a body in blocks get an event when a block is full, unless the server says where each one ends. So
  each frame is an HTTP chunk (RFC 9112, 7.1), made once, and every viewer over HTTP/1.1 gets the same bytes. For others
  `unchunked` takes them apart.

All functions here make and take frames as chunks.
"""

from collections.abc import Iterator

import msgspec

from history.core.stream_data import one_line

LAST_CHUNK = b"0\r\n\r\n"
"""Ends a body of chunks: nothing is lost, the server has ended it."""


def chunk(data: bytes) -> bytes:
    """data: not empty"""
    return b"%x\r\n%b\r\n" % (len(data), data)


def payloads(chunks: bytes) -> Iterator[bytes]:
    """What stands in each of these chunks, which are whole"""
    at = 0
    while at < len(chunks):
        begin = chunks.index(b"\n", at) + 1
        end = begin + int(chunks[at : begin - 2], 16)
        yield chunks[begin:end]
        at = end + 2


def unchunked(chunks: bytes) -> bytes:
    """What stands in these chunks, which are whole"""
    return b"".join(payloads(chunks))


HEARTBEAT = chunk(b":\n")
"""A comment line without a blank line behind it, so that a lone `retry:` before it isn't made into an event"""


def heartbeat_event(every_ms: int) -> bytes:
    """A heartbeat for viewers who ask for events: a browser's EventSource hides comment lines from its page. It says
    after how long without anything else the next one comes."""
    return event_frame("heartbeat", {"every_ms": every_ms})


def frame(position: bytes, name: str, data: bytes) -> bytes:
    """position: as text. name: empty for an unnamed event, so that `onmessage` gets it. data: one line"""
    if name:
        return chunk(b"id: %b\nevent: %b\ndata: %b\n\n" % (position, name.encode(), data))
    return chunk(b"id: %b\ndata: %b\n\n" % (position, data))


def frame_position(frame: bytes) -> bytes:
    """The position that `frame` was given"""
    begin = frame.index(b"\n") + 5
    return frame[begin : frame.index(b"\n", begin)]


def frame_data(frame: bytes) -> bytes:
    """The data that `frame` was given"""
    return frame[frame.index(b"\ndata: ") + 7 : -4]


def with_position(frame: bytes, position: bytes) -> bytes:
    """The same frame with another position"""
    rest = frame.index(b"\n", frame.index(b"\n") + 1)
    return chunk(b"id: %b%b" % (position, frame[rest:-2]))


def older_frame(data: bytes) -> bytes:
    """A comment from before the stream's beginning: it moves no position."""
    return chunk(b"data: %b\n\n" % data)


def position_frame(position: bytes) -> bytes:
    """Clients take the position, and get no event."""
    return chunk(b"id: %b\n:\n\n" % position)


def blank_frame(frame: bytes) -> bytes:
    """As long as the frame, with its position and a comment line for its data: clients take the position, and get no
    event."""
    head = frame.index(b"\n", frame.index(b"\n") + 1) + 1
    return frame[:head] + b":" + b" " * (len(frame) - head - 5) + b"\n\n\r\n"


def event_frame(name: str, payload: object, position: bytes | None = None) -> bytes:
    """A named event of the node's own, with a JSON payload"""
    identity = b"id: %b\n" % position if position else b""
    data = one_line(msgspec.json.encode(payload))
    return chunk(b"%bevent: %b\ndata: %b\n\n" % (identity, name.encode(), data))


def retry_line(retry_ms: int) -> bytes:
    """Stands right in front of a frame"""
    return chunk(b"retry: %d\n" % retry_ms)
