"""dispatcher/__main__.py as a real process: ready, a signal to end, and ports that are taken."""

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator

import grpc
import pytest

from tests.dispatcher.peers import WAIT_S, NodePeer, PublisherPeer, comment


async def start(*flags: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dispatcher", "--log-format", "json", *flags, stderr=asyncio.subprocess.PIPE
    )


async def line(process: asyncio.subprocess.Process, event: str) -> dict[str, str]:
    """The next line of the log, which must tell of this event"""
    assert process.stderr is not None
    async with asyncio.timeout(WAIT_S):
        fields: dict[str, str] = json.loads(await process.stderr.readline())
    assert fields["event"] == event, fields
    return fields


@contextlib.asynccontextmanager
async def running(*flags: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    process = await start("--listen", "127.0.0.1:0", *flags)
    try:
        yield process, (await line(process, "dispatcher ready"))["listen"]
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_ends_with_0_after_a_signal(number: signal.Signals) -> None:
    async with running() as (process, listen), NodePeer(listen) as node, PublisherPeer(listen) as publisher:
        await node.hello({"a": 1})
        assert (await line(process, "node connected"))["node"] == "rms-1"
        await publisher.publishes(1, comment(1, "a"))
        await node.acknowledges(await node.receives(1))
        assert await publisher.is_answered() == 1
        process.send_signal(number)
        await line(process, "dispatcher stopping")
        assert (await node.ended())[0] is grpc.StatusCode.UNAVAILABLE
        assert (await publisher.ended())[0] is grpc.StatusCode.UNAVAILABLE
        async with asyncio.timeout(WAIT_S):
            assert await process.wait() == 0


async def test_a_peer_that_does_not_read_cannot_hold_the_end_up() -> None:
    async with (
        running("--stop-ms", "200", "--close-ms", "200") as (process, listen),
        NodePeer(listen) as node,
        PublisherPeer(listen) as publisher,
    ):
        await node.hello({"a": 1})
        for seq in range(1, 40):
            await publisher.publishes(seq, *(comment(i, "a", "x" * 1000) for i in range(1, 200)))
        process.terminate()
        async with asyncio.timeout(WAIT_S):
            assert await process.wait() == 0


async def test_a_taken_port_is_a_clear_sentence_and_exit_code_1() -> None:
    async with running() as (_, listen):
        second = await start("--listen", listen)
        async with asyncio.timeout(WAIT_S):
            _, log = await second.communicate()
        assert second.returncode == 1
        assert "can't start" in log.decode()
        assert "dispatcher ready" not in log.decode()


async def test_a_taken_port_for_metrics_is_one_too() -> None:
    async with running() as (_, listen):
        second = await start("--listen", "127.0.0.1:0", "--metrics-listen", listen)
        async with asyncio.timeout(WAIT_S):
            _, log = await second.communicate()
        assert second.returncode == 1
        assert "can't start" in log.decode()
        assert "Traceback" not in log.decode()
