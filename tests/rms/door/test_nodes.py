"""rms/door/nodes.py: a node that isn't there, or takes nothing, is told apart in a bounded time"""

import socket
from pathlib import Path

from rms.config import DoorSettings
from rms.door.nodes import Nodes


def nodes(folder: Path) -> Nodes:
    return Nodes(DoorSettings.parse(["--sockets", str(folder), "--handover-timeout-ms", "50"]))


async def test_a_socket_travels(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(tmp_path / "n1.sock"))
        listener.listen()
        door = nodes(tmp_path)
        mine, theirs = socket.socketpair()
        assert await door.hand_over("n1", b"hello", theirs.fileno())
        theirs.close()
        peer, _ = listener.accept()
        data, (fd,), _, _ = socket.recv_fds(peer, 100, 1)
        with socket.socket(fileno=fd) as travelled:
            travelled.send(b"still open")
        assert (data, mine.recv(100)) == (b"hello", b"still open")
        for each in (mine, peer):
            each.close()
        door.close()


async def test_who_is_not_there_or_takes_nothing_is_given_up(tmp_path: Path) -> None:
    door = nodes(tmp_path)
    mine, theirs = socket.socketpair()
    assert not await door.hand_over("nobody", b"hello", theirs.fileno())
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(tmp_path / "n1.sock"))
        listener.listen()
        taken = 0
        while await door.hand_over("n1", b"x" * 10_000, theirs.fileno()):
            taken += 1
        assert taken > 0, "until its socket was full"
    for each in (mine, theirs):
        each.close()
    door.close()
