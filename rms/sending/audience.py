"""Who a sweep serves: viewers, each a socket and an offset, and the audience that the viewers of one edition make."""

import asyncio
import random
import socket
from collections.abc import Callable
from enum import Enum
from typing import Protocol

from rms.feed.byte_log import EditionOffset
from rms.feed.editions import Edition, Form


class Pause(Enum):
    """Why sweeps pass a viewer by"""

    FULL = "its socket takes no more; epoll says when there is room"
    TURN = "it has had a chunk, and goes on in the event loop's next round"


class Seat(Protocol):
    """What counts a viewer as one of its address's"""

    @property
    def key(self) -> str:
        """What the address is counted by"""
        ...

    def free(self) -> None:
        """Idempotent"""


class Viewer(socket.socket):
    """A taken-over socket. Between writes `offset` stands at a frame's end; `head` is sent before what follows there.

    It is a socket and not a file descriptor's number: a socket's send() costs the kernel a good half microsecond less
    than a file's write(), and the object is no bigger than one that holds a number.
    """

    __slots__ = ("audience", "ends_ms", "head", "index", "offset", "paused", "stood_at")

    def __init__(self, fd: int, audience: "Audience", head: bytes, offset: EditionOffset) -> None:
        """fd: of a connected non-blocking TCP socket, which is the viewer's from now on."""
        # Every argument is given, so that Python asks the kernel for none. The family shows in addresses only: for a
        # viewer over IPv6 it is the wrong one, and does no harm.
        super().__init__(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK, socket.IPPROTO_TCP, fd)
        self.audience = audience
        self.head = head
        self.offset = offset
        self.index: int | None = None  # in audience.viewers; None: detached
        self.paused: Pause | None = None  # None: sweeps write to it
        self.ends_ms: int | None = None  # when its stream ends by itself (monotonic); None: never
        self.stood_at: bytes | None = None  # its position when it was last paused: what it has once `head` is out


class CountedViewer(Viewer):
    """One whose address has limits: its seat is freed when it is closed. A class of its own, so that others stay as
    small as they are."""

    __slots__ = ("seat",)

    def __init__(self, fd: int, audience: "Audience", head: bytes, offset: EditionOffset, seat: Seat) -> None:
        super().__init__(fd, audience, head, offset)
        self.seat = seat

    def close(self) -> None:
        super().close()
        self.seat.free()


class Audience:
    """All viewers of one edition, and how far the sweep over them is."""

    __slots__ = (
        *("aside", "cursor", "due", "edition", "failed", "failure_logged", "form", "log", "on_behind", "queued"),
        *("sent_ms", "swept_to", "video_id", "viewers", "waiters"),
    )

    def __init__(
        self, video_id: str, form: Form, edition: Edition, on_behind: Callable[[Viewer], None], now_ms: int
    ) -> None:
        """on_behind: called with a viewer whose offset has fallen off the log; it is already detached, and open.
        now_ms: of the monotonic clock."""
        self.video_id = video_id
        self.form = form
        self.edition = edition
        self.log = edition.log
        self.on_behind = on_behind
        self.viewers: list[Viewer] = []
        self.queued = False  # among those that a sweeper has to sweep
        self.cursor: int | None = None  # the next viewer of the sweep under way, downwards; None: there is none
        self.swept_to = self.log.end
        self.due = b""  # what the next sweep gives to all, beside the log
        self.aside = b""  # what the sweep under way gives them, after what the log has for them
        self.sent_ms = now_ms  # when the last sweep ended, by the monotonic clock
        self.failed = False  # its sweep has raised: nothing more is sent, and its viewers are being closed
        self.failure_logged = False  # of a viewer, since the last sweep began
        self.waiters: set[asyncio.Event] = set()  # of streamed responses, see rms/sending/streamed.py


def stream_ends_ms(age_s_max: float, now_ms: int) -> int | None:
    """When a stream that begins now ends by itself, between half and all of the age: those that came together, after
    a node's death or a deploy, don't come back together. None: never. now_ms: of the monotonic clock"""
    return now_ms + round(age_s_max * 1_000 * random.uniform(0.5, 1.0)) if age_s_max else None
