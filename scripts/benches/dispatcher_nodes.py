"""Simulates many RMS nodes in one process, as a replica sees them: they take comments, acknowledge, and measure.

`python -m scripts.benches.dispatcher_nodes ADDRESS PREFIX COUNT` prints {} when all are welcomed, answers each line on
stdin with its figures as JSON, and ends with its stdin. Each node has a connection of its own, as a real one has.
"""

import asyncio
import random
import sys
import time
from typing import cast

import msgspec
import uvloop

from proto.dispatch_pb2 import DESCRIPTOR, Beat, Delivered, DispatcherMessage, Hello, NodeMessage, VideoViewers
from scripts.benches.config import DISPATCHER
from scripts.benches.dispatcher_stream import GrpcStream, StreamEnded
from scripts.benches.schedule import MARK, VIDEO, due_ns_of

_PATH = f"/{DESCRIPTOR.services_by_name['Dispatcher'].full_name}/Connect"


class Taken(msgspec.Struct):
    """Since the last report"""

    events: int = 0
    useless: int = 0  # of videos that the node doesn't serve
    doubled: int = 0
    latencies_ms: list[float] = []  # msgspec copies it


class Node(asyncio.Protocol):
    """One node's stream, and the next one when it has ended"""

    def __init__(self, node_id: str, address: str) -> None:
        self.taken = Taken()
        self.welcomed = asyncio.Event()
        self._node_id = node_id
        self._address = address
        self._known: set[int] = set()

    async def stay(self) -> None:
        """Connects again whenever the stream has ended; doesn't return."""
        loop = asyncio.get_running_loop()
        host, _, port = self._address.rpartition(":")
        while True:
            self._ended = loop.create_future()
            try:
                await loop.create_connection(lambda: self, host, int(port))
                await self._ended
            except OSError:
                pass  # the replica is down
            await asyncio.sleep(random.uniform(0, DISPATCHER.reconnect_s))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's only looks like one
        self._stream = GrpcStream(_PATH, self._address)
        self._delivered = 0  # to be acknowledged
        self._ack_timer: asyncio.TimerHandle | None = None
        hello = Hello(
            node_id=self._node_id, incarnation=1, public_url=f"http://{self._node_id}", capacity_viewers=19_000
        )
        hello.videos.append(VideoViewers(video_id=VIDEO, viewers=1))
        self._send(NodeMessage(hello=hello).SerializeToString())

    def data_received(self, data: bytes) -> None:
        try:
            for encoded in self._stream.received(data):
                message = DispatcherMessage.FromString(encoded)
                if message.HasField("deliver"):
                    self.take(message)
                    self._acknowledge(message.deliver.number, message.deliver.ack_within_ms / 1000)
                elif message.HasField("welcome"):
                    self.welcomed.set()
                    self._beat(self._transport, message.welcome.beat_ms / 1000)
        except StreamEnded:
            self._transport.abort()
            return
        if self._delivered and not self._ack_timer:
            self._say_delivered()
        elif out := self._stream.to_send():  # of HTTP/2 itself
            self._transport.write(out)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    def take(self, message: DispatcherMessage) -> None:
        now_ns = time.monotonic_ns()
        taken, known = self.taken, self._known
        for video in message.deliver.videos:
            said = [(event.id, event.data, event.WhichOneof("body")) for event in video.events]
            taken.events += len(said)
            taken.useless += len(said) if video.video_id != VIDEO else 0
            before = len(known)
            known.update([event_id for event_id, _, _ in said])
            taken.doubled += before + len(said) - len(known)
            if MARK in said[0][1]:
                taken.latencies_ms += [(now_ns - due_ns_of(data)) / 1e6 for _, data, _ in said]

    def _acknowledge(self, number: int, within_s: float) -> None:
        """At once, or with all that come meanwhile, or with the next beat, as an RMS does"""
        self._delivered = number
        if within_s and not self._ack_timer:
            self._ack_timer = asyncio.get_running_loop().call_later(within_s, self._say_delivered)

    def _say_delivered(self) -> None:
        self._ack_timer = None
        if self._delivered:
            number, self._delivered = self._delivered, 0
            self._send(NodeMessage(delivered=Delivered(number=number)).SerializeToString())

    def _beat(self, transport: asyncio.Transport, every_s: float) -> None:
        """Again and again, for as long as this connection lasts"""
        if not transport.is_closing():
            number, self._delivered = self._delivered, 0
            self._send(NodeMessage(beat=Beat(delivered=number)).SerializeToString())
            asyncio.get_running_loop().call_later(every_s, self._beat, transport, every_s)

    def _send(self, message: bytes) -> None:
        self._stream.send(message)
        self._transport.write(self._stream.to_send())


async def run(address: str, prefix: str, count: int) -> None:
    """Until stdin ends"""
    nodes = [Node(f"{prefix}-{number}", address) for number in range(count)]
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    async with asyncio.TaskGroup() as group:
        staying = [group.create_task(node.stay()) for node in nodes]
        for node in nodes:
            await node.welcomed.wait()
        print("{}", flush=True)  # to the bench
        while await orders.readline():
            print(msgspec.json.encode([node.taken for node in nodes]).decode(), flush=True)
            for node in nodes:
                node.taken = Taken()
        for task in staying:
            task.cancel()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(sys.argv[1], sys.argv[2], int(sys.argv[3])))
