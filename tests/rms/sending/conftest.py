"""A sweeper with one audience on real sockets, whose clients' ends the tests hold."""

import asyncio
import os
import socket
from collections.abc import Iterator

import pytest

from rms.config import RmsSettings
from rms.feed.byte_log import ByteLog, EditionOffset, FeedOffset
from rms.feed.editions import Edition, Form
from rms.feed.entry import Attach
from rms.sending.audience import Audience, Viewer
from rms.sending.sweep import Sweeper


class Bytes:
    """An edition that is only a log; a position is an offset."""

    encoding = ""
    last = b""

    def __init__(self) -> None:
        self.log: ByteLog[EditionOffset] = ByteLog()

    def begin(self, data: bytes) -> bytes:
        return data

    def update(self, now_ms: int) -> None:
        pass

    def attach(self, attach: Attach[FeedOffset], now_ms: int) -> Attach[EditionOffset]:
        return Attach(attach.private, EditionOffset(attach.offset))

    def text_at(self, offset: EditionOffset) -> bytes | None:
        return b"%d" % offset if offset >= self.log.base else None

    def rewrite(self, starts: list[FeedOffset]) -> list[EditionOffset]:
        return []

    def moved(self, offset: EditionOffset) -> EditionOffset | None:
        return None

    def aside(self, data: bytes) -> bytes:
        return data


class Hall:
    """A sweeper, one audience, and the other ends of its viewers' sockets."""

    def __init__(self, edition: Edition | None = None, **settings: float) -> None:
        defaults = {"send_buffer_bytes": 4096, "chunk_bytes": 10_000}
        self.sweeper = Sweeper(
            RmsSettings(_cli_parse_args=False, **{**defaults, **settings}),  # type: ignore[call-arg, arg-type]
            asyncio.get_running_loop(),
        )
        edition = edition or Bytes()
        self.log = edition.log
        self.behind: list[Viewer] = []
        self.audience = Audience("v", Form(), edition, self.behind.append, 1)
        self.expected = b""
        self.ends: list[socket.socket] = []

    def frame(self, size: int = 100) -> None:
        frame = b"%08d" % len(self.expected) + b"x" * (size - 10) + b"\n\n"
        self.expected += frame
        self.log.append(frame)
        self.sweeper.publish(self.audience)

    def viewer(self, head: bytes = b"", kind: type[Viewer] = Viewer) -> socket.socket:
        """Returns the client's end."""
        listener = socket.create_server(("127.0.0.1", 0))
        end = socket.socket()
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        end.connect(listener.getsockname())
        peer, _ = listener.accept()
        listener.close()
        peer.setblocking(False)
        end.setblocking(False)
        self.ends.append(end)
        self.sweeper.add(kind(peer.detach(), self.audience, head, self.log.end))
        return end

    def close(self) -> None:
        self.sweeper.close()
        for end in self.ends:
            end.close()


@pytest.fixture
async def hall() -> "Iterator[Hall]":  # type: ignore[misc]
    files = len(os.listdir("/proc/self/fd"))
    hall = Hall()
    yield hall
    hall.close()
    assert len(os.listdir("/proc/self/fd")) <= files, "every socket is closed, and the epoll set"


async def read(end: socket.socket, size: int) -> bytes:
    loop, data = asyncio.get_running_loop(), b""
    async with asyncio.timeout(10):
        while len(data) < size:
            data += await loop.sock_recv(end, size - len(data))
    return data
