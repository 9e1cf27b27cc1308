"""Passes viewers' sockets to the nodes of this host, over a Unix socket for each node."""

import asyncio
import socket
from pathlib import Path

from rms.config import DoorSettings
from rms.door.unix_address import unix_address


class Nodes:
    """The Unix sockets of the nodes on this host."""

    def __init__(self, settings: DoorSettings) -> None:
        self._folder = Path(settings.sockets)
        self._timeout_s = settings.handover_timeout_ms / 1000
        self._connected: dict[str, socket.socket] = {}

    async def hand_over(self, node_id: str, packet: bytes, fd: int) -> bool:
        """False if the node isn't there, or doesn't take it in time. The caller closes its own number of the socket."""
        for _ in range(2):  # a connection to a process that has ended since fails once
            try:
                node = self._connected.get(node_id) or self._connect(node_id)
                await asyncio.wait_for(self._send(node, packet, fd), self._timeout_s)
            except (OSError, TimeoutError):
                if (lost := self._connected.pop(node_id, None)) is not None:
                    lost.close()
            else:
                return True
        return False

    def _connect(self, node_id: str) -> socket.socket:
        node = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        node.setblocking(False)
        try:
            with unix_address(self._folder / f"{node_id}.sock") as address:
                node.connect(address)  # never waits: it is there, or it isn't
        except OSError:
            node.close()
            raise
        self._connected[node_id] = node
        return node

    async def _send(self, node: socket.socket, packet: bytes, fd: int) -> None:
        while True:
            try:
                socket.send_fds(node, [packet], [fd])
                return
            except BlockingIOError:
                await asyncio.sleep(0.005)

    def close(self) -> None:
        for node in self._connected.values():
            node.close()
