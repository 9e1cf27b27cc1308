"""LoopConnection beside a plain socket: every byte in order, no waiter left, no thread in the way. Behind the
stores' tests it speaks with a Cassandra."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from cassandra.connection import ConnectionShutdown, DefaultEndPoint

from history.cassandra.access import Access
from history.cassandra.connection import LoopConnection
from history.cassandra.sealed import connection_class
from tests.serving import leave, serving

OPTIONS_BYTES = 9
"""The driver's first message: a frame without a body"""


@dataclass
class Joined:
    connection: LoopConnection
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


@asynccontextmanager
async def joined() -> AsyncIterator[Joined]:
    """A connection and its peer, which has read the driver's first message"""
    accepted: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await accepted.put((reader, writer))
        await writer.wait_closed()

    async with serving(accept) as port:
        make = connection_class(Access(None))
        connection = await asyncio.to_thread(lambda: make("127.0.0.1", port, protocol_version=5, connect_timeout=5))
        reader, writer = await accepted.get()
        await reader.readexactly(OPTIONS_BYTES)
        try:
            yield Joined(connection, reader, writer)
        finally:
            connection.close()


@pytest.mark.parametrize("from_thread", [False, True])
async def test_more_than_the_kernel_takes_arrives_in_order(from_thread: bool) -> None:
    parts = [bytes([number % 251]) * 100_000 for number in range(100)]
    async with joined() as it:
        for part in parts:
            if from_thread:
                await asyncio.to_thread(it.connection.push, part)
            else:
                it.connection.push(part)
        whole = b"".join(parts)
        assert await asyncio.wait_for(it.reader.readexactly(len(whole)), 10) == whole
        it.connection.push(b"the last")  # at once again: nothing waits any more
        assert await asyncio.wait_for(it.reader.readexactly(8), 10) == b"the last"


@pytest.mark.parametrize("how", ["ends", "resets"])
async def test_whoever_waits_gets_an_error_when_the_peer_goes(how: str) -> None:
    async with joined() as it:
        reported: asyncio.Queue[object] = asyncio.Queue()
        it.connection._requests[7] = (reported.put_nowait, None, None)
        if how == "ends":
            it.writer.close()
        else:
            it.writer.transport.abort()
        error = await asyncio.wait_for(reported.get(), 10)
        assert isinstance(error, ConnectionShutdown | OSError)
        assert it.connection.is_closed


async def test_a_peer_that_goes_during_the_handshake_is_no_connection() -> None:
    connections = connection_class(Access(None))
    async with serving(leave) as port:
        with pytest.raises((ConnectionShutdown, OSError)):
            await asyncio.to_thread(connections.factory, DefaultEndPoint("127.0.0.1", port), 5, protocol_version=5)


async def test_a_send_that_fails_is_reported_to_whoever_waits_and_not_to_the_sender() -> None:
    async with joined() as it:
        reported: asyncio.Queue[object] = asyncio.Queue()
        it.connection._requests[7] = (reported.put_nowait, None, None)
        it.connection._socket.shutdown(1)  # of sending only: the peer may still answer
        it.connection.push(b"unsent")
        assert reported.empty()
        assert isinstance(await asyncio.wait_for(reported.get(), 10), ConnectionShutdown)


async def test_closing_from_another_thread_closes_the_socket() -> None:
    async with joined() as it:
        await asyncio.to_thread(it.connection.close)
        assert await asyncio.wait_for(it.reader.read(), 10) == b""
        it.connection.close()  # again: nothing


async def test_a_timer_fires_in_the_loop_and_not_after_its_end() -> None:
    connections = connection_class(Access(None))
    fired: asyncio.Queue[int] = asyncio.Queue()
    kept = await asyncio.to_thread(connections.create_timer, 0.01, lambda: fired.put_nowait(threading.get_ident()))
    dropped = connections.create_timer(0, lambda: fired.put_nowait(0))
    dropped.cancel()
    assert await asyncio.wait_for(fired.get(), 10) == threading.get_ident()
    await asyncio.to_thread(kept.cancel)  # after it has fired: nothing
    assert fired.empty()


def test_when_the_loop_has_ended_nothing_is_raised() -> None:
    async def begin() -> tuple[LoopConnection, type[LoopConnection]]:
        async with joined() as it:
            return it.connection, type(it.connection)

    connection, connections = asyncio.run(begin())
    connections.create_timer(0, lambda: None).cancel()
    connection.close()
    assert connection._socket.fileno() == -1
