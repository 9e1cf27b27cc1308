"""The node's end of the door: receives viewers' sockets and their requests over a Unix socket.

A socket travels as SCM_RIGHTS (unix(7)) in one packet of a SOCK_SEQPACKET connection, together with the request that
the door has read. If this process dies while a packet is under way, the kernel drops the packet and closes the socket
in it. The viewer's client sees that, and reconnects through the door.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, urlencode

import msgspec
import structlog

from proto.tasks import Supervisor
from rms.config import RmsSettings
from rms.door.unix_address import unix_address
from rms.http.admission import Viewers, raw_refusal
from rms.videos.request import Refused, parse_stream_request

log = structlog.stdlib.get_logger()

PACKET_BYTES_MAX = 16_384
PACKETS_AT_ONCE = 64
"""Received before the event loop goes on with other work"""


class Handover(msgspec.Struct, frozen=True):
    """The request that goes with a socket"""

    video_id: str
    query: dict[str, str]
    headers: dict[str, str]
    http_version: str = "1.0"
    """A door that doesn't tell gets what every client can read."""
    caller_key: str | None = None
    """what the limits of the viewer's address are counted by; None: it has none"""


Adopt = Callable[[socket.socket, bytes, str | None], Awaitable[None]]
"""See HttpServer.adopt."""


class Doorway:
    """Belongs to one event loop."""

    def __init__(self, settings: RmsSettings, viewers: Viewers, adopt: Adopt, tasks: Supervisor) -> None:
        """adopt: serves the connections of those who want an answer and no stream."""
        self._settings = settings
        self._adopt = adopt
        self._viewers = viewers
        self._loop = asyncio.get_running_loop()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._doors: set[socket.socket] = set()
        self._tasks = tasks

    def open(self) -> None:
        """Raises OSError when the path can't be used."""
        path = Path(self._settings.door_socket)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # left behind by a process that was killed
        with unix_address(path) as address:
            self._listener.bind(address)
        os.chmod(path, 0o600)  # who writes to it acts for any viewer
        self._listener.listen()
        self._listener.setblocking(False)
        self._loop.add_reader(self._listener.fileno(), self._accept)

    def close(self) -> None:
        """Receives no more sockets; those that were received enter or are closed. Idempotent."""
        if self._listener.fileno() < 0:
            return
        for door in list(self._doors):
            self._leave(door)
        self._loop.remove_reader(self._listener.fileno())
        self._listener.close()
        Path(self._settings.door_socket).unlink(missing_ok=True)

    def _accept(self) -> None:
        with suppress(BlockingIOError):
            door, _ = self._listener.accept()
            door.setblocking(False)
            self._doors.add(door)
            self._loop.add_reader(door.fileno(), self._receive, door)

    def _leave(self, door: socket.socket) -> None:
        self._doors.discard(door)
        self._loop.remove_reader(door.fileno())
        door.close()

    def _receive(self, door: socket.socket) -> None:
        for _ in range(PACKETS_AT_ONCE):
            try:
                data, fds, _, _ = socket.recv_fds(door, PACKET_BYTES_MAX, 4)
            except BlockingIOError:
                return
            except OSError:
                data, fds = b"", []
            if not data and not fds:
                self._leave(door)
                return
            self._take(data, fds)

    def _take(self, data: bytes, fds: list[int]) -> None:
        try:
            handover = msgspec.json.decode(data, type=Handover)
            (fd,) = fds
        except (msgspec.DecodeError, ValueError) as error:
            log.error("malformed packet from the door", reason=str(error))
            for each in fds:
                os.close(each)
            return
        self._tasks.spawn("viewer entering through the door", self._enter(handover, fd))

    async def _enter(self, handover: Handover, fd: int) -> None:
        settings = self._settings
        taken = False

        async def take() -> int:
            nonlocal taken
            taken = True
            return fd

        try:
            asked = parse_stream_request(
                handover.video_id,
                handover.query,
                handover.headers,
                settings.backfill,
                settings.backfill_max,
                handover.http_version,
                settings.poll_wait_s_max,
            )
            if asked.wait_s is not None:
                peer = socket.socket(fileno=await take())
                await self._adopt(peer, request_of(handover), handover.caller_key)
                return
            await self._viewers.enter(asked, take, handover.caller_key)
        except Refused as refused:
            with suppress(OSError):
                os.write(fd, self._refusal(refused, handover.headers))
        finally:
            if not taken:
                os.close(fd)

    def _refusal(self, refused: Refused, headers: Mapping[str, str]) -> bytes:
        settings = self._settings
        return raw_refusal(refused, settings.retry_after_s, headers, settings.credentials_origins_known())


def request_of(handover: Handover) -> bytes:
    """The request, for a server that reads it itself. The next one comes through the door again."""
    path = f"/comments/{quote(handover.video_id, safe='')}?{urlencode(handover.query)}"
    headers = {"host": "door", **handover.headers, "connection": "close"}
    headers.setdefault("origin", "null")  # the door keeps few of them; any page may read the answer
    lines = [f"GET {path} HTTP/{handover.http_version}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
