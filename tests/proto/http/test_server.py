"""proto/http/server.py: listening, and ending when told"""

import asyncio
import socket
from collections import Counter

import pytest

from proto.http.guard import Guard
from proto.http.responses import error_response
from proto.http.server import build_server
from proto.http_settings import HttpSettings
from proto.listening import address_of, listen
from tests.waiting import eventually


@pytest.mark.parametrize(("address", "family"), [("127.0.0.1:0", socket.AF_INET), ("[::1]:0", socket.AF_INET6)])
def test_it_listens_without_delay(address: str, family: socket.AddressFamily) -> None:
    with listen(address, 10, 30_000) as listener:
        assert listener.family == family
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        with socket.create_connection(listener.getsockname()[:2]), listener.accept()[0] as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000


def test_a_port_that_is_taken() -> None:
    with listen("127.0.0.1:0", 10, 30_000) as listener, pytest.raises(OSError, match="in use"):
        listen(f"127.0.0.1:{listener.getsockname()[1]}", 10, 30_000)


@pytest.mark.parametrize(("asked", "host"), [("127.0.0.1:0", "127.0.0.1:"), ("[::1]:0", "[::1]:")])
def test_an_address_can_be_given_to_others(asked: str, host: str) -> None:
    with listen(asked, 10, 30_000) as listener:
        assert address_of(listener) == f"{host}{listener.getsockname()[1]}"


async def test_the_server_leaves_signals_alone_and_ends_when_told() -> None:
    settings = HttpSettings.parse([])
    guard = Guard(settings, Counter())
    server = build_server(error_response(404, "x", "y"), settings.connection_limits(), guard, stop_s=2.0)
    assert server.config.timeout_graceful_shutdown == 2
    serving = asyncio.create_task(server.serve(sockets=[listen("127.0.0.1:0", 10, 30_000)]))
    await eventually(lambda: server.started)
    server.stop()
    async with asyncio.timeout(10):
        await serving
