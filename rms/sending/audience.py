"""Who a sweep serves: viewers, each a socket and an offset, and the audiences that they make."""

import asyncio
import socket
from collections.abc import Callable

from rms.feed.byte_log import EditionOffset
from rms.feed.editions import Edition
from rms.feed.position import Position

WAITS = -1
"""For its turn: see Viewer.stalled_ms"""


class Viewer(socket.socket):
    """A taken-over socket. Between writes `offset` stands at a frame's end; `head` goes first.

    It is a socket, and no number: send() of a socket costs the kernel a good half microsecond less than write() of a
    file, and the object is no bigger than one that holds a number.
    """

    __slots__ = ("audience", "falls", "head", "index", "offset", "stalled_ms", "stood_at")

    def __init__(self, fd: int, audience: "Audience", head: bytes, offset: EditionOffset) -> None:
        """fd: of a connected non-blocking TCP socket, which is the viewer's from now on."""
        # All of it said, so that little is asked of the kernel. A wrong family (IPv6) would show in addresses only.
        super().__init__(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK, socket.IPPROTO_TCP, fd)
        self.audience = audience
        self.head = head
        self.offset = offset
        self.index = -1  # in audience.viewers
        self.stalled_ms = (
            0  # since when its socket is full; 0: it isn't; WAITS: it has had a chunk, and sweeps pass it by
        )
        self.falls = 0  # how often it has fallen off the log
        self.stood_at: Position | None = None  # when it became full or began to wait: what it has once `head` is out


class Audience:
    """All viewers of one edition, and where a sweep over them stands."""

    __slots__ = ("aside", "cursor", "due", "edition", "log", "on_behind", "sent_ms", "swept_to", "viewers", "waiters")

    def __init__(self, edition: Edition, on_behind: Callable[[Viewer], None], now_ms: int) -> None:
        """on_behind: called with a viewer whose offset has fallen off the log; it is already detached, and open."""
        self.edition = edition
        self.log = edition.log
        self.on_behind = on_behind
        self.viewers: list[Viewer] = []
        self.cursor = -1  # the next viewer of the sweep under way; sweeps go downwards, so that removal is a swap
        self.swept_to = self.log.end
        self.due = b""  # what the next sweep gives to all, beside the log
        self.aside = b""  # what the sweep under way gives them, after what the log has for them
        self.sent_ms = now_ms
        self.waiters: set[asyncio.Event] = set()  # of streamed responses, see rms/sending/streamed.py
