"""A server of events that says exactly what a test tells it, in the pieces that it chooses: for faults on order."""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from tests.serving import serving

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


def event(number: int, due_ns: int = 0) -> bytes:
    """A comment as the viewers know it"""
    return b'id: 1\ndata: {"message":"c#%06d @T%d what a goal"}\n\n' % (number, due_ns)


class FakeServer:
    """Each viewer gets the pieces, each in a send of its own. `requests` holds what they asked.

    Unlike life: the pieces don't wait for anything, and all viewers get the same.
    """

    def __init__(self, pieces: Sequence[bytes], *, head: bytes = HEAD + b"\r\n", ends: bool = False) -> None:
        """ends: the stream ends behind the last piece."""
        self._pieces = [head, *pieces]
        self._ends = ends
        self._serving = serving(self._serve)
        self.requests: list[bytes] = []

    async def __aenter__(self) -> Self:
        self.port = await self._serving.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._serving.__aexit__(kind, error, trace)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append(await reader.readuntil(b"\r\n\r\n"))
        for piece in self._pieces:
            writer.write(piece)
            await writer.drain()
        if not self._ends:
            await reader.read()
