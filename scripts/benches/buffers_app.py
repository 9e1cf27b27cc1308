"""A server of events without a task for each viewer, but with a buffer: its transport's. Takes its port as argument.

What publishes writes into each viewer's transport, as is; a viewer whose buffer is full misses a comment.
"""

import asyncio
import resource
import sys
from typing import cast

import uvloop

BUFFER_BYTES_MAX = 1 << 20
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"

viewers: set[asyncio.Transport] = set()


class Connection(asyncio.Protocol):
    """GET is a viewer; POST publishes its body, and may be followed by another. Takes what a bench sends, no more."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's only looks like one
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, rest = self._received.partition(b"\r\n\r\n")
            if head.startswith(b"GET"):
                self._received = rest
                self._transport.write(HEAD)
                viewers.add(self._transport)
                continue
            (length,) = (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            if len(rest) < length:
                return
            publish(rest[:length])
            self._received = rest[length:]
            self._transport.write(OK)

    def connection_lost(self, error: Exception | None) -> None:
        viewers.discard(self._transport)


def publish(message: bytes) -> None:
    frame = b"id: 0\ndata: %b\n\n" % message
    for viewer in viewers:
        if viewer.get_write_buffer_size() < BUFFER_BYTES_MAX:
            viewer.write(frame)


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port, backlog=65_535)
    await server.serve_forever()


def main() -> None:
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1])))


if __name__ == "__main__":
    main()
