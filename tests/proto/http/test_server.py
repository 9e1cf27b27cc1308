"""rms/http/server.py"""

import socket

import pytest
from starlette.applications import Starlette

from proto.http.server import build_server, listen


@pytest.mark.parametrize(("address", "family"), [("127.0.0.1:0", socket.AF_INET), ("[::1]:0", socket.AF_INET6)])
def test_it_listens_without_delay(address: str, family: socket.AddressFamily) -> None:
    with listen(address) as listener:
        assert listener.family == family
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_port_that_is_taken() -> None:
    with listen("127.0.0.1:0") as listener, pytest.raises(OSError, match="in use"):
        listen(f"127.0.0.1:{listener.getsockname()[1]}")


def test_the_protocol_hands_over() -> None:
    server = build_server(Starlette(), head_timeout_s=3.0, stop_ms=2_000)
    assert server.config.http.head_timeout_s == 3.0  # type: ignore[union-attr]
    assert server.config.timeout_graceful_shutdown == 2
