"""Asks the dispatchers which RMS node takes the next viewer of a video."""

import asyncio

import grpc

from comment_service.core.errors import NoDispatcher, NoPlace
from comment_service.publish.replicas import Replicas
from proto.dispatch_pb2 import PlaceRequest


class Placement:
    """Belongs to one event loop."""

    def __init__(self, replicas: Replicas, *, try_timeout_ms: int, timeout_ms: int) -> None:
        """try_timeout_ms: for one replica. timeout_ms: for all tries together."""
        self._replicas = replicas
        self._try_timeout_ms = try_timeout_ms
        self._timeout_ms = timeout_ms

    async def place(self, video_id: str) -> str:
        """The public URL (an origin, a path, or both) of the RMS node that a replica chooses; the first answer counts.

        A replica that knows no node is passed over, for it may have started a moment ago. Raises NoPlace when a replica
        answered and none knows a node with room, NoDispatcher when none answered.
        """
        answered = False
        try:
            async with asyncio.timeout(self._timeout_ms / 1000):
                for address in self._replicas.in_order():
                    try:
                        return await self._ask(address, video_id)
                    except grpc.aio.AioRpcError:
                        # UNAVAILABLE comes from a replica that knows no room, and from gRPC if it can't reach one.
                        answered = answered or self._replicas.is_connected(address)
        except TimeoutError:
            pass
        raise NoPlace if answered else NoDispatcher

    async def _ask(self, address: str, video_id: str) -> str:
        response = await self._replicas.stub(address).Place(
            PlaceRequest(video_id=video_id), timeout=self._try_timeout_ms / 1000
        )
        return response.public_url
