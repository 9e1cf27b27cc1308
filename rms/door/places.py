"""Asks the dispatchers which node takes a viewer."""

import asyncio
from collections.abc import Sequence

import grpc
import structlog

from proto import dispatch_pb2
from proto.channel import why_unreachable
from proto.dispatch_pb2_grpc import DispatcherStub
from proto.placing import each_placed
from proto.replicas import ReplicaChannels, reconnecting
from proto.tasks import Cancelled
from proto.together import TooManyAsk
from rms.config import DoorSettings

log = structlog.stdlib.get_logger()


class NoPlace(Exception):
    """No dispatcher answers, or none knows a node with room."""


class Places:
    """Asks the dispatchers, one after the other, until one answers; the one that did is asked first next time.

    Viewers of one video that come at the same time share a request.
    """

    def __init__(self, settings: DoorSettings) -> None:
        """Raises OSError if a certificate can't be read."""
        self._timeout_s = settings.place_timeout_ms / 1000
        # An attempt to connect must not take longer than a viewer waits.
        options = reconnecting(settings.place_timeout_ms)
        self._channels = ReplicaChannels(settings.replica_addresses(), settings.tls(), options)
        self.trouble = ""
        """Why no dispatcher could be reached for the last viewer; empty: one could"""
        self._together = settings.together(self._nodes_for)
        self._wait_s = settings.place_wait_ms / 1000

    async def node_for(self, video_id: str, exclude: list[str]) -> str:
        """The node's id. Raises NoPlace."""
        if exclude:  # few have failed to reach a node
            return (await self._nodes_for(video_id, 1, exclude))[0]
        try:
            async with asyncio.timeout(self._wait_s):
                return await self._together.ask(video_id)
        except (TimeoutError, TooManyAsk, Cancelled):
            raise NoPlace("too many viewers come at once: come again later") from None

    async def _nodes_for(self, video_id: str, viewers: int, exclude: Sequence[str] = ()) -> Sequence[str]:
        """A node for each of them, or for as many as have room. Raises NoPlace."""
        request = dispatch_pb2.PlaceRequest(video_id=video_id, exclude_node_ids=exclude, viewers=viewers)
        trouble = "no dispatcher is known yet"
        for address in list(self._channels.order):
            try:
                placed = await DispatcherStub(self._channels[address]).Place(request, timeout=self._timeout_s)
            except grpc.RpcError as error:
                self._channels.failed(address)
                trouble = trouble and why_unreachable(error)
            else:
                self._note("")
                return [each.node_id for each in each_placed(placed, viewers)]
        self._note(trouble)
        raise NoPlace("no node can take this viewer now: come again later")

    def _note(self, trouble: str) -> None:
        """Logs a reason only when there was none before: any stranger can ask for a place."""
        if trouble and not self.trouble:
            log.warning("no dispatcher can be reached", reason=trouble)
        self.trouble = trouble

    async def follow(self) -> None:
        """Looks for replicas that come and go; for ever, if they are given by a name."""
        await self._channels.follow()

    async def close(self) -> None:
        await self._together.close()
        await self._channels.close()
