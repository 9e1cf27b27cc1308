"""rms/door/unix_address.py, and a door and a node deep down in folders"""

import os
import socket
from pathlib import Path

import pytest

from rms.door.unix_address import ADDRESS_BYTES_MAX, unix_address
from tests.rms.conftest import StartNode
from tests.rms.door.test_main import open_door
from tests.rms.http.test_app import viewer


@pytest.mark.parametrize("over", [-1, 0, 1, 200])
def test_a_path_of_any_length_can_be_listened_on(tmp_path: Path, over: int) -> None:
    rest = ADDRESS_BYTES_MAX + over - len(os.fsencode(tmp_path / "x" / "n1.sock")) + 1
    folder = tmp_path / ("x" * rest)
    folder.mkdir()
    before = os.listdir("/proc/self/fd")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as peer:
        with unix_address(folder / "n1.sock") as address:
            listener.bind(address)
        listener.listen()
        with unix_address(folder / "n1.sock") as address:
            peer.connect(address)
    assert (folder / "n1.sock").is_socket()
    assert len(os.fsencode(folder / "n1.sock")) == ADDRESS_BYTES_MAX + over
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_what_is_too_long_is_said(tmp_path: Path) -> None:
    with (
        pytest.raises(OSError, match="the name is too long for a Unix socket: 'nnn"),
        unix_address(tmp_path / ("n" * 128 + ".sock")),
    ):
        pass


async def test_a_viewer_comes_through_deep_down(start_node: StartNode, tmp_path: Path) -> None:
    sockets = tmp_path / ("deep" * 20) / "doors"
    node = await start_node(door_socket=str(sockets / "n1.sock"))
    node.dispatcher.placements = ["n1"]
    async with open_door(node.dispatcher, sockets) as port, viewer(port, "/comments/v") as raw:
        assert raw.head.startswith(b"HTTP/1.1 200 ")
