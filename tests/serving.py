"""A TCP server of a test's own, of which nothing is left behind.

On Python 3.11 a closed asyncio server waits for none of its connections. What is left of them when the loop ends is
found by the garbage collector, in whatever test runs then.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from socket import socket

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[object]]


async def leave(*_: object) -> None:
    """Closes the connection at once."""


@asynccontextmanager
async def serving(
    talk: Talk, *, listener: socket | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Gives the port, on 127.0.0.1 if there is no listener.

    talk: with each peer, until it returns, the peer goes or the block is left; then the connection is closed.
    """
    open_: dict[asyncio.Task[object], asyncio.StreamWriter] = {}

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_[task] = writer
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await talk(reader, writer)
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()
        finally:
            del open_[task]

    if listener is None:
        server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    else:
        server = await asyncio.start_server(accept, sock=listener, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.sleep(0)  # what was accepted a moment ago begins
        while open_:
            tasks = tuple(open_)
            for task in tasks:
                open_[task].transport.abort()
                task.cancel()
            await asyncio.wait(tasks)
