"""rms/door/doorway.py: only what a door sends is understood, and nothing that comes wrong stays open"""

import os
import socket
import stat
from pathlib import Path

import msgspec

from rms.door.doorway import Handover
from tests.rms.conftest import StartNode
from tests.waiting import eventually


async def test_only_its_owner_may_hand_over(start_node: StartNode, tmp_path: Path) -> None:
    path = tmp_path / "n1.sock"
    await start_node(door_socket=str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_packet_that_is_none_closes_its_sockets(start_node: StartNode, tmp_path: Path) -> None:
    path = tmp_path / "n1.sock"
    node = await start_node(door_socket=str(path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
        door.connect(str(path))
        good = msgspec.json.encode(Handover("v", {}, {}))
        for packet, count in ((b"nonsense", 1), (good, 2), (good, 0), (b"[]", 3)):
            mine, theirs = socket.socketpair()
            files = [theirs.fileno(), *(os.dup(theirs.fileno()) for _ in range(count - 1))][:count]
            socket.send_fds(door, [packet], files)
            for fd in files[1:]:
                os.close(fd)
            theirs.close()
            mine.setblocking(False)
            await eventually(lambda mine=mine: closed(mine))  # type: ignore[misc]
            mine.close()
        assert len(node.node.viewers) == 0


def closed(end: socket.socket) -> bool:
    try:
        return end.recv(1) == b""
    except BlockingIOError:
        return False
