"""Asks the dispatchers which RMS node takes the next viewer of a video."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import grpc

from comment_service.core.errors import NoDispatcher, NoPlace
from comment_service.publish.replicas import Replicas
from proto.dispatch_pb2 import PlaceRequest
from proto.tasks import Cancelled
from proto.together import Together, TooManyAsk


@dataclass(frozen=True, slots=True)
class PlacementLimits:
    """What config.py says; its descriptions give the reasons."""

    try_timeout_ms: int
    """for one replica"""
    timeout_ms: int
    """for a viewer, all tries together"""
    asks_max: int
    together_max: int
    waiting_max: int


class Placement:
    """Belongs to one event loop. Viewers of one video that come at the same time share a request, as ten thousand do
    when a broadcast begins."""

    def __init__(self, replicas: Replicas, limits: PlacementLimits) -> None:
        self._replicas = replicas
        self._limits = limits
        self._together = Together(
            "place viewers",
            self._place,
            asks_max=limits.asks_max,
            together_max=limits.together_max,
            waiting_max=limits.waiting_max,
        )

    async def place(self, video_id: str) -> str:
        """The public URL (an origin, a path, or both) of the RMS node that a replica chooses; the first answer counts.

        A replica that knows no node is passed over, for it may have started a moment ago. Raises NoPlace when a replica
        answered and none knows a node with room, NoDispatcher when none answered in time.
        """
        try:
            async with asyncio.timeout(self._limits.timeout_ms / 1000):
                return await self._together.ask(video_id)
        except (TimeoutError, TooManyAsk, Cancelled):
            raise NoDispatcher from None

    async def close(self) -> None:
        await self._together.close()

    async def _place(self, video_id: str, viewers: int) -> Sequence[str]:
        """The URL for each of them, or for as many as have room"""
        answered = False
        try:
            async with asyncio.timeout(self._limits.timeout_ms / 1000):
                for address in self._replicas.in_order():
                    try:
                        return await self._ask(address, video_id, viewers)
                    except grpc.aio.AioRpcError:
                        # UNAVAILABLE comes from a replica that knows no room, and from gRPC if it can't reach one.
                        answered = answered or self._replicas.is_connected(address)
        except TimeoutError:
            pass
        raise NoPlace if answered else NoDispatcher

    async def _ask(self, address: str, video_id: str, viewers: int) -> Sequence[str]:
        response = await self._replicas.stub(address).Place(
            PlaceRequest(video_id=video_id, viewers=viewers), timeout=self._limits.try_timeout_ms / 1000
        )
        if not response.placed:
            return [response.public_url] * viewers
        return [run.public_url for run in response.placed for _ in range(min(run.viewers, viewers))]
