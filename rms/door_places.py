"""Where the door sends a viewer: it asks the dispatchers."""

import random

import grpc

from proto import dispatch_pb2
from proto.dispatch_pb2_grpc import DispatcherStub
from rms.config import DoorSettings


class NoPlace(Exception):
    """No dispatcher answers, or none knows a node with room."""


class Places:
    """Asks the dispatchers, one after the other, until one answers; the one that did is asked first next time."""

    def __init__(self, settings: DoorSettings) -> None:
        self._timeout_s = settings.place_timeout_ms / 1000
        addresses = settings.dispatchers.split(",")
        random.shuffle(addresses)  # doors start with different replicas
        self._channels = [grpc.aio.insecure_channel(address) for address in addresses]

    async def node_for(self, video_id: str, exclude: list[str]) -> str:
        """The node's id. Raises NoPlace."""
        request = dispatch_pb2.PlaceRequest(video_id=video_id, exclude_node_ids=exclude)
        for channel in list(self._channels):
            try:
                placed = await DispatcherStub(channel).Place(request, timeout=self._timeout_s)
            except grpc.RpcError:
                self._channels.remove(channel)
                self._channels.append(channel)
            else:
                return placed.node_id
        raise NoPlace("no node can take this viewer now: come again later")

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()
