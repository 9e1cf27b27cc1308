"""A TCP relay that can be cut as a network is: no byte passes, and neither side is told."""

import asyncio
import contextlib
from types import TracebackType
from typing import Self

from proto.listening import address_of, listen
from proto.settings import split_address
from tests.serving import serving

CHUNK = 1 << 16


class Relay:
    """`async with Relay() as relay`; then `target`, host:port, has to be set. `address`: where it listens"""

    target = ""

    def __init__(self) -> None:
        self._listener = listen("127.0.0.1:0", 100, 30_000)
        self.address = address_of(self._listener)
        self._passes = asyncio.Event()
        self._passes.set()
        self._serving = serving(self._connect, listener=self._listener)

    def cut(self) -> None:
        """From now on nothing passes. Connections are still accepted, and lead nowhere."""
        self._passes.clear()

    def heal(self) -> None:
        """What was sent meanwhile arrives now, as TCP sends it again."""
        self._passes.set()

    async def __aenter__(self) -> Self:
        await self._serving.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._serving.__aexit__(kind, error, trace)

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
