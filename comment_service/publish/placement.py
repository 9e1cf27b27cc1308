"""Asks the dispatchers which RMS node takes the next viewer of a video."""

import asyncio
from collections.abc import Sequence

import grpc
from pydantic import Field

from comment_service.core.errors import NoDispatcher, NoPlace
from comment_service.publish.replicas import Replicas
from proto.dispatch_pb2 import PlaceRequest
from proto.placing import PlacingSettings, each_placed
from proto.tasks import Cancelled
from proto.together import TooManyAsk


class PlacementSettings(PlacingSettings):
    place_try_timeout_ms: int = Field(500, ge=10, description="ms for one replica to place a viewer, which takes 1")
    place_timeout_ms: int = Field(2_000, ge=10, description="ms for a placement by any replica: a person is waiting")


class Placement:
    """Belongs to one event loop. Viewers of one video that come at the same time share a request, as ten thousand do
    when a broadcast begins."""

    def __init__(self, replicas: Replicas, settings: PlacementSettings) -> None:
        self._replicas = replicas
        self._try_timeout_s = settings.place_try_timeout_ms / 1000
        self._timeout_s = settings.place_timeout_ms / 1000
        self._together = settings.together(self._place)

    async def place(self, video_id: str) -> str:
        """The public URL (an origin, a path, or both) of the RMS node that a replica chooses; the first answer counts.

        A replica that knows no node is passed over, for it may have started a moment ago. Raises NoPlace when a replica
        answered and none knows a node with room, NoDispatcher when none answered in time.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._together.ask(video_id)
        except (TimeoutError, TooManyAsk, Cancelled):
            raise NoDispatcher from None

    async def close(self) -> None:
        await self._together.close()

    async def _place(self, video_id: str, viewers: int) -> Sequence[str]:
        """The URL for each of them, or for as many as have room"""
        answered = False
        try:
            async with asyncio.timeout(self._timeout_s):
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
            PlaceRequest(video_id=video_id, viewers=viewers), timeout=self._try_timeout_s
        )
        return [each.public_url for each in each_placed(response, viewers)]
