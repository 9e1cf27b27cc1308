"""Viewers' sockets leave the HTTP server quietly, and leave no seat and no file behind."""

import asyncio
import logging
import os

import pytest

from tests.rms.conftest import StartNode
from tests.rms.http.test_app import viewer
from tests.waiting import eventually


def files() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_a_thousand_viewers_come_and_go_without_a_trace(
    start_node: StartNode, caplog: pytest.LogCaptureFixture
) -> None:
    node = await start_node()
    async with viewer(node.port, "/comments/v"):
        pass
    await eventually(lambda: len(node.node.viewers) == 0)
    before = files()
    for _ in range(5):
        writers = []
        for _ in range(200):
            reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
            writer.write(b"GET /comments/v HTTP/1.1\r\nHost: x\r\n\r\n")
            writers.append((reader, writer))
        for reader, _ in writers:
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        assert len(node.node.sweeper) == 200
        for _, writer in writers:
            writer.close()
            await writer.wait_closed()
        await eventually(lambda: len(node.node.viewers) == 0)
    await eventually(lambda: files() == before)
    assert not node.node.server.server_state.connections
    assert not node.node.server.server_state.tasks
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]


async def test_who_leaves_during_the_handshake_leaves_no_file(start_node: StartNode) -> None:
    node = await start_node()
    async with viewer(node.port, "/comments/v"):
        pass  # opens the history
    await eventually(lambda: len(node.node.viewers) == 0)
    before = files()
    for _ in range(50):
        _, writer = await asyncio.open_connection("127.0.0.1", node.port)
        writer.write(b"GET /comments/v HTTP/1.1\r\nHost: x\r\n\r\n")
        writer.transport.abort()
    await eventually(lambda: len(node.node.viewers) == 0 and files() <= before)


async def test_a_request_head_that_does_not_come_is_not_waited_for(start_node: StartNode) -> None:
    node = await start_node(head_timeout_s=0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    writer.write(b"GET /comments/v HTTP/1.1\r\nHost:")
    async with asyncio.timeout(10):
        assert await reader.read() == b""
    writer.close()


async def test_streams_in_one_packet_take_one_seat_and_give_it_back(start_node: StartNode) -> None:
    node = await start_node()
    async with viewer(node.port, "/comments/v"):
        pass  # opens the history
    await eventually(lambda: len(node.node.viewers) == 0)
    before = files()
    streams = []
    for _ in range(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
        writer.write(b"GET /comments/v HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
        streams.append((reader, writer))
    for reader, _ in streams:
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    assert len(node.node.viewers) == 20
    for _, writer in streams:
        writer.close()
        await writer.wait_closed()
    await eventually(lambda: len(node.node.viewers) == 0 and files() == before)
    assert [video.viewers for video in node.node.served.videos] == [0]


@pytest.mark.parametrize(
    ("lines", "code"),
    [(b"x: " + b"y" * 100_000 + b"\r\n", b"head_too_large"), (b"x: y\r\n" * 300, b"too_many_headers")],
)
async def test_a_head_has_a_limit(start_node: StartNode, lines: bytes, code: bytes) -> None:
    node = await start_node()
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    writer.write(b"GET /comments/v HTTP/1.1\r\nHost: x\r\n" + lines + b"\r\n")
    async with asyncio.timeout(10):
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert code in answer
    writer.close()


async def test_a_stream_behind_an_answered_request_gets_the_socket(start_node: StartNode) -> None:
    node = await start_node()
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    writer.write(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n" + b"GET /comments/v HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(10):
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200 ")
        assert b"text/event-stream" in await reader.readuntil(b"\r\n\r\n")
    assert len(node.node.sweeper) == 1
    writer.close()
    await eventually(lambda: len(node.node.viewers) == 0)
