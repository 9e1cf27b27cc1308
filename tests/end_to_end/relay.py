"""A TCP relay that can be cut as a network is: no byte passes, and neither side is told."""

import asyncio
import contextlib
from types import TracebackType
from typing import Self

from proto.listening import address_of, listen
from proto.settings import split_address

CHUNK = 1 << 16


class Relay:
    """`async with Relay() as relay`; then `target`, host:port, has to be set. `address`: where it listens"""

    target = ""

    def __init__(self) -> None:
        self._listener = listen("127.0.0.1:0", 100, 30_000)
        self.address = address_of(self._listener)
        self._passes = asyncio.Event()
        self._passes.set()
        self._tasks: set[asyncio.Task[None]] = set()

    def cut(self) -> None:
        """From now on nothing passes. Connections are still accepted, and lead nowhere."""
        self._passes.clear()

    def heal(self) -> None:
        """What was sent meanwhile arrives now, as TCP sends it again."""
        self._passes.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, sock=self._listener)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._connect(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # the server's protocol would report them
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._passes.wait()
        there_reader, there_writer = await asyncio.open_connection(*split_address(self.target))
        try:
            await asyncio.gather(self._pass_on(reader, there_writer), self._pass_on(there_reader, writer))
        finally:
            there_writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            await self._passes.wait()
            writer.write(data)
            await writer.drain()
        await self._passes.wait()
        with contextlib.suppress(OSError):
            writer.write_eof()
