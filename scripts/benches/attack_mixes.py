"""What strangers do to a system: how many connections, from how many addresses, and what they send over each.

Each mix is as much as one machine sends easily, and more than the limits of its addresses let through.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

CROWDED = "crowded"
"""the video whose viewers are looked at; strangers who want a stream take this one"""

STREAM = b"GET /comments/%b HTTP/1.1\r\nHost: edge\r\nAccept: text/event-stream\r\n\r\n"
POST = b"POST /comment/create HTTP/1.1\r\nHost: edge\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"


def _nothing(number: int) -> bytes:
    return b""


@dataclass(frozen=True, slots=True)
class Mix:
    what: str
    at_service: bool = False
    """without a balancer: comes to comment_service, not to the node where the crowd is"""
    per_s: float = 2_000.0
    """new connections/s at most, to all together"""
    open_max: int = 500
    """connections at a time"""
    addresses: int = 1
    request: Callable[[int], bytes] = _nothing
    """by the connection's number; empty: it stays silent"""
    drip: bytes = b""
    """sent once a second over each connection"""
    reads: bool = True
    """False: takes nothing of the answer"""
    burns: bool = False
    """no connections: it keeps a CPU busy"""

    def part(self, share: float) -> "Mix":
        return replace(self, per_s=max(1.0, self.per_s * share), open_max=max(1, round(self.open_max * share)))


def _stream(number: int) -> bytes:
    return STREAM % CROWDED.encode()


def _new_video(number: int) -> bytes:
    return STREAM % (b"new-%d" % number)


def _flood_of_headers(number: int) -> bytes:
    lines = b"".join(b"X-%d: %b\r\n" % (line, b"y" * 60) for line in range(1_000))
    return b"GET / HTTP/1.1\r\nHost: edge\r\n%b\r\n" % lines


def _post(number: int) -> bytes:
    body = b'{"liveVideoId":"flooded","message":"buy %d"}' % number
    return POST % (len(body), body)


def _long_poll(number: int) -> bytes:
    return b"GET /comments/%b?wait=25 HTTP/1.1\r\nHost: edge\r\n\r\n" % CROWDED.encode()


MIXES: Mapping[str, Mix] = {
    "nothing": Mix("only a busy process", burns=True),
    "heads": Mix("slow heads", open_max=2_000, addresses=2, request=lambda _: b"GET / HTTP/1.1\r\nX: ", drip=b"x"),
    "readers": Mix("slow readers", open_max=500, request=_stream, reads=False),
    "idle": Mix("idle connections", open_max=8_000, addresses=8),
    "videos": Mix("new video ids", addresses=4, request=_new_video),
    "headers": Mix("header floods", per_s=500, request=_flood_of_headers),
    "reconnects": Mix("reconnect storms", addresses=2, request=_stream),
    "posts": Mix("floods of posts", at_service=True, addresses=4, request=_post),
    "polls": Mix("long polls", per_s=1_000, open_max=1_000, addresses=2, request=_long_poll),
}
"""By name, in the order of the table. The first one is the control: attackers take CPU of the machine that they attack,
which they wouldn't if they were elsewhere."""
