"""Many RMS nodes in one process, as a replica sees them, for `scripts/bench dispatcher`: take, acknowledge, measure.

`python -m scripts.benches.dispatcher_nodes ADDRESS PREFIX COUNT` says "ready" when all are welcomed, answers each line
on stdin with its figures as JSON, and ends with its stdin.
"""

import asyncio
import random
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import grpc
import msgspec

from proto.dispatch_pb2 import Beat, Delivered, DispatcherMessage, Hello, NodeMessage, VideoViewers
from proto.dispatch_pb2_grpc import DispatcherStub
from scripts.benches.config import DISPATCHER
from scripts.benches.schedule import VIDEO

if TYPE_CHECKING:  # it is in the stubs only: at run time there is one class for both
    from proto.dispatch_pb2_grpc import DispatcherAsyncStub


class Taken(msgspec.Struct):
    """Since the last report"""

    comments: int = 0
    useless: int = 0  # of videos that the node doesn't serve
    doubled: int = 0
    latencies_ms: list[float] = []  # msgspec copies it


class Node:
    """One stream, again and again, as an RMS has it"""

    def __init__(self, channel: grpc.aio.Channel, node_id: str) -> None:
        self.taken = Taken()
        self.welcomed = asyncio.Event()
        self._channel = channel
        self._node_id = node_id
        self._known: set[int] = set()

    async def run(self) -> None:
        while True:
            with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
                await self._channel.channel_ready()
                await self._live(DispatcherStub(self._channel))
            await asyncio.sleep(random.uniform(0, DISPATCHER.reconnect_s))

    async def _live(self, stub: "DispatcherAsyncStub") -> None:
        call = stub.Connect()
        hello = Hello(
            node_id=self._node_id, incarnation=1, public_url=f"http://{self._node_id}", capacity_viewers=19_000
        )
        hello.videos.append(VideoViewers(video_id=VIDEO, viewers=1))
        await call.write(NodeMessage(hello=hello))
        writing = asyncio.Lock()  # one write at a time: gRPC ends a call on which two meet
        beats: asyncio.Task[None] | None = None
        try:
            while isinstance(message := await call.read(), DispatcherMessage):
                if message.HasField("deliver"):
                    self.take(message)
                    async with writing:
                        await call.write(NodeMessage(delivered=Delivered(number=message.deliver.number)))
                elif message.HasField("welcome"):
                    self.welcomed.set()
                    beats = asyncio.create_task(_beat(call, writing, message.welcome.beat_ms))
        finally:
            if beats:
                beats.cancel()

    def take(self, message: DispatcherMessage) -> None:
        now_ns = time.monotonic_ns()
        for comment in message.deliver.comments:
            self.taken.comments += 1
            self.taken.useless += comment.video_id != VIDEO
            self.taken.doubled += comment.id in self._known
            self._known.add(comment.id)
            self.taken.latencies_ms.append((now_ns - comment.created_at_ms) / 1e6)  # here it bears the due time in ns


async def _beat(
    call: "grpc.aio.StreamStreamCall[NodeMessage, DispatcherMessage]", writing: asyncio.Lock, beat_ms: int
) -> None:
    with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
        while True:
            await asyncio.sleep(beat_ms / 1000)
            async with writing:
                await call.write(NodeMessage(beat=Beat()))


_OPTIONS = [
    ("grpc.max_receive_message_length", 8 << 20),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
]


async def main(address: str, prefix: str, count: int) -> None:
    channels = [
        grpc.aio.insecure_channel(address, options=_OPTIONS) for _ in range(-(-count // DISPATCHER.streams_per_channel))
    ]
    nodes = [Node(channels[number // DISPATCHER.streams_per_channel], f"{prefix}-{number}") for number in range(count)]
    lives = [asyncio.create_task(node.run()) for node in nodes]
    for node in nodes:
        await node.welcomed.wait()
    print("ready", flush=True)  # to the bench
    while await asyncio.to_thread(sys.stdin.readline):
        print(msgspec.json.encode([node.taken for node in nodes]).decode(), flush=True)  # to the bench
        for node in nodes:
            node.taken = Taken()
    for life in lives:
        life.cancel()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
