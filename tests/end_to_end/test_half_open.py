"""Peers whose network is gone without a word, as a phone's in a lift: what they held is back within the time that the
settings state. The hosts are network namespaces; nothing tells either side that the cable is out."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

import comment_service.service
import proto.listening
import rms.__main__
from scripts.benches.hosts import Hosts, needs
from tests.comment_service.conftest import StartService, nowhere, start_service
from tests.network_lock import network_changes
from tests.rms.conftest import RunningNode, StartNode, start_node
from tests.waiting import eventually

__all__ = ["nowhere", "start_node", "start_service"]

if missing := needs():
    pytest.skip(missing, allow_module_level=True)

BACK_S = 30
"""The settings below say 5 s at most; without them the kernel takes a quarter of an hour."""

SOON = {"head_timeout_s": 2, "keep_alive_s": 1, "user_timeout_ms": 1_000, "unlimited_networks": ""}
GET = b"GET /comments/v%b HTTP/1.1\r\nHost: x\r\nAccept: %b\r\n%b\r\n"


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hosts]:
    """The services listen on one of them."""
    with network_changes(), Hosts(["service", "phone"]) as made:

        def listen(address: str, backlog: int, user_timeout_ms: int) -> socket.socket:
            with made._inside("service"):
                return proto.listening.listen(address, backlog, user_timeout_ms)

        monkeypatch.setattr(rms.__main__, "listen", listen)
        monkeypatch.setattr(comment_service.service, "listen", listen)
        yield made


@contextlib.asynccontextmanager
async def phone(hosts: Hosts, port: int, sent: bytes) -> AsyncIterator[socket.socket]:
    """It has sent this, and has got something if that makes an answer."""
    made, loop = hosts.socket_of("phone"), asyncio.get_running_loop()
    with made:
        await loop.sock_connect(made, (hosts.address("service"), port))
        await loop.sock_sendall(made, sent)
        yield made


def accepted(hosts: Hosts) -> int:
    """Sockets of this process on the services' host, beside the one that listens"""
    count = 0
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if os.readlink(path).startswith("socket:"):
                with socket.socket(fileno=os.dup(int(path.name))) as one:
                    count += one.getsockname()[:1] == (hosts.address("service"),)
    return count - 1


def nothing_is_held(node: RunningNode) -> bool:
    held = (node.node.viewers, node.node.served, node.node.allowances._streams._shares)
    return not any(len(each) for each in held) and not node.node.server.server_state.connections


@pytest.mark.parametrize(
    ("sent", "has_answer"),
    [
        (GET % (b"", b"text/event-stream", b""), True),
        (GET % (b"", b"text/event-stream", b"Content-Length: 1\r\n"), True),  # its socket can't be taken
        (GET % (b"?wait=1&last_event_id=%016x", b"application/json", b""), False),
    ],
    ids=["stream", "streamed", "poll"],
)
async def test_a_viewer_s_seat_and_socket_and_room_come_back(
    hosts: Hosts, start_node: StartNode, sent: bytes, has_answer: bool
) -> None:
    listening = {"listen": f"{hosts.address('service')}:0", "feed_linger_ms": 100}
    node = await start_node(heartbeat_ms=200, poll_rest_ms=100, poll_wait_s_max=1, **listening, **SOON)
    loop = asyncio.get_running_loop()
    if not has_answer:
        sent = sent % (1 << 40)
    async with phone(hosts, node.port, sent) as peer:
        if has_answer:
            await loop.sock_recv(peer, 1)
        await eventually(lambda: len(node.node.viewers) == 1)
        assert accepted(hosts) == 1
        hosts.cut("phone")
        await eventually(lambda: nothing_is_held(node) and not accepted(hosts), BACK_S)


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /comment/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{",
        b"POST /comment/create HTTP/1.1\r\nHost: x\r\n",
    ],
    ids=["idle", "in a body", "in a head"],
)
async def test_an_author_s_connection_comes_back(hosts: Hosts, start_service: StartService, sent: bytes) -> None:
    settings = {"listen": f"{hosts.address('service')}:0", "body_timeout_ms": 1_000, **SOON}
    running = await start_service(**settings)
    connections = running.service.server.server_state.connections
    await running.http.close()  # it has asked whether the service is ready
    await eventually(lambda: not connections)
    async with phone(hosts, running.port, sent) as peer:
        if sent.startswith(b"GET"):
            await asyncio.get_running_loop().sock_recv(peer, 1)
        await eventually(lambda: len(connections) == accepted(hosts) == 1)
        hosts.cut("phone")
        await eventually(lambda: not connections and not accepted(hosts), BACK_S)
