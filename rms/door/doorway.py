"""The node's end of a host's door: viewers' sockets come in over a Unix socket, with what their owners ask for.

A socket travels as SCM_RIGHTS (unix(7)) in one packet of a SOCK_SEQPACKET connection together with the request that the
door has read. A packet that is under way when this process dies is dropped by the kernel and its socket closed: the
viewer's client sees that, and comes again through the door.
"""

import asyncio
import os
import socket
from contextlib import suppress
from pathlib import Path

import msgspec
import structlog

from rms.config import RmsSettings
from rms.http.admission import Viewers, refusal_headers
from rms.videos.request import Refused, parse_stream_request

log = structlog.stdlib.get_logger()

PACKET_BYTES_MAX = 16_384
PACKETS_AT_ONCE = 64
"""taken before the event loop has its turn"""


class Handover(msgspec.Struct, frozen=True):
    """What goes with a socket"""

    video_id: str
    query: dict[str, str]
    headers: dict[str, str]


class Doorway:
    def __init__(self, settings: RmsSettings, viewers: Viewers) -> None:
        self._settings = settings
        self._viewers = viewers
        self._loop = asyncio.get_running_loop()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._doors: set[socket.socket] = set()
        self._entering: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """Raises OSError when the path can't be used."""
        path = Path(self._settings.door_socket)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # a life before this one was killed
        self._listener.bind(str(path))
        os.chmod(path, 0o600)  # whoever may write to it may speak for any viewer
        self._listener.listen()
        self._listener.setblocking(False)
        self._loop.add_reader(self._listener.fileno(), self._accept)

    def close(self) -> None:
        """Takes no more sockets; those that have come are let in or closed. Idempotent."""
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
            log.error("a door has sent what can't be understood", reason=str(error))
            for each in fds:
                os.close(each)
            return
        task = asyncio.create_task(self._enter(handover, fd))
        self._entering.add(task)
        task.add_done_callback(self._entering.discard)

    async def _enter(self, handover: Handover, fd: int) -> None:
        settings = self._settings
        taken = False

        async def take() -> int:
            nonlocal taken
            taken = True
            return fd

        try:
            asked = parse_stream_request(
                handover.video_id, handover.query, handover.headers, settings.backfill, settings.backfill_max
            )
            await self._viewers.enter(asked, take)
        except Refused as refused:
            with suppress(OSError):
                os.write(fd, self._refusal(refused))
        finally:
            if not taken:
                os.close(fd)

    def _refusal(self, refused: Refused) -> bytes:
        """The same answer as rms/http/app.py gives, in raw HTTP: there is no framework on this socket."""
        body = msgspec.json.encode({"error": {"code": refused.code, "message": refused.message}})
        headers = {
            "content-type": "application/json",
            "content-length": str(len(body)),
            "access-control-allow-origin": "*",
            "connection": "close",
            **refusal_headers(refused, self._settings.retry_after_s),
        }
        lines = [f"HTTP/1.1 {refused.status} Refused", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode() + body
