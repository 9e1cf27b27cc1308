"""A proxy that passes on a response only when it has all of it: as some virus scanners and company networks do."""

import asyncio
import re
from types import TracebackType
from typing import Self

from proto.listening import address_of, listen
from proto.settings import split_address
from tests.serving import serving


class HoldingProxy:
    """`async with HoldingProxy() as proxy`; then `target`, host:port, has to be set. One request a connection"""

    target = ""

    def __init__(self) -> None:
        self._listener = listen("127.0.0.1:0", 100, 30_000)
        self.address = address_of(self._listener)
        self.held = 0
        """responses that it holds back now"""
        self._serving = serving(self._pass_on, listener=self._listener)

    async def __aenter__(self) -> Self:
        await self._serving.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._serving.__aexit__(kind, error, trace)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = re.sub(rb"(?i)\r\nconnection:[^\r]*", b"", await reader.readuntil(b"\r\n\r\n"))
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        body = await reader.readexactly(int(length[1])) if length else b""
        there, to_there = await asyncio.open_connection(*split_address(self.target))
        to_there.write(head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) + body)
        whole, left = asyncio.ensure_future(there.read()), asyncio.ensure_future(reader.read())
        self.held += 1
        try:
            await asyncio.wait([whole, left], return_when=asyncio.FIRST_COMPLETED)
            if whole.done():
                writer.write(whole.result())
                await writer.drain()
        finally:
            self.held -= 1
            whole.cancel()
            left.cancel()
            to_there.close()
