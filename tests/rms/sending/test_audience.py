"""rms/sending/audience.py: a viewer is the socket that it was given, and small."""

import socket

from rms.feed.byte_log import EditionOffset
from rms.sending.audience import Audience, Viewer
from tests.rms.sending.conftest import Bytes


def test_a_viewer_takes_the_socket_over() -> None:
    audience = Audience("v", Bytes(), lambda viewer: None, 1)
    mine, theirs = socket.socketpair()
    fd = mine.detach()
    viewer = Viewer(fd, audience, b"", EditionOffset(0))
    with theirs:
        assert viewer.fileno() == fd
        assert viewer.gettimeout() == 0, "it never waits"
        assert viewer.send(b"hello") == 5
        assert theirs.recv(9) == b"hello"
        viewer.close()
        assert theirs.recv(9) == b"", "it was the only one who held it"
    assert viewer.fileno() == -1


def test_a_viewer_is_small() -> None:
    assert Viewer.__dictoffset__ == 0, "slots all the way up"
    assert Viewer.__basicsize__ <= 128, "19,000 of them"
