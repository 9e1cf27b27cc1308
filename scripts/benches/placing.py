"""Brings viewers to the nodes that the dispatchers choose, batch by batch."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import grpc

from proto.dispatch_pb2 import PlaceRequest, PlaceResponse
from proto.dispatch_pb2_grpc import DispatcherStub
from scripts.benches.config import MILLION, MillionSettings
from scripts.benches.schedule import VIDEO
from scripts.benches.viewers import Generator

if TYPE_CHECKING:  # it is in the stubs only: at run time there is one class for both
    from proto.dispatch_pb2_grpc import DispatcherAsyncStub


class NoRoom(Exception):
    """The dispatchers had no seat for a viewer, or the nodes did not let all of them in, for too long."""


class Placing:
    """Some workers at once: each asks a replica for a place, and connects a batch of one generator's viewers there."""

    def __init__(self, viewers: int, generators: Sequence[Generator], settings: MillionSettings = MILLION) -> None:
        self.refused = 0
        """viewers who came to a node that was full by then, and were placed again"""
        self.viewers_by_node: Counter[str] = Counter()
        self._left = viewers  # whom no worker has taken yet
        self._free = list(generators)  # that no worker has now, and that aren't full
        self._settings = settings

    async def connect_all(self, replicas: Sequence[str]) -> None:
        """Returns when every viewer has its stream. Raises NoRoom, GeneratorFailed, grpc.RpcError."""
        async with AsyncExitStack() as stack:
            channels = [await stack.enter_async_context(grpc.aio.insecure_channel(address)) for address in replicas]
            stubs = [DispatcherStub(channel) for channel in channels]
            limit_s = self._settings.connect_timeout_s
            try:
                async with asyncio.timeout(limit_s), asyncio.TaskGroup() as workers:
                    for number in range(self._settings.workers):
                        workers.create_task(self._work(stubs[number % len(stubs)]))
            except ExceptionGroup as failures:
                raise failures.exceptions[0] from failures
            except TimeoutError:
                raise NoRoom(f"{self.viewers_by_node.total():,} viewers had come after {limit_s:.0f} s") from None

    async def _work(self, stub: "DispatcherAsyncStub") -> None:
        while self._left and self._free:
            generator = self._free.pop()
            count = min(self._left, self._settings.batch, self._settings.capacity - generator.viewers)
            self._left -= count
            place = await self._place(stub)
            port = urlsplit(place.public_url).port
            assert port
            answer = await generator.connect(count, port)
            self._left += answer.refused
            self.refused += answer.refused
            self.viewers_by_node[place.node_id] += answer.connected
            if generator.viewers < self._settings.capacity:
                self._free.append(generator)

    async def _place(self, stub: "DispatcherAsyncStub") -> PlaceResponse:
        for _ in range(self._settings.no_room_tries):
            try:
                return await stub.Place(PlaceRequest(video_id=VIDEO), timeout=self._settings.place_timeout_s)
            except grpc.aio.AioRpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    raise
                await asyncio.sleep(self._settings.no_room_wait_s)
        raise NoRoom("the dispatchers found no seat for a viewer")
