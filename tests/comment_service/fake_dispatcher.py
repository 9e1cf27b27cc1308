"""A dispatcher replica that does what a test wants, over real gRPC: it can withhold answers, cut streams, refuse and
hang, and it refuses what a real one refuses. It is unrealistic in that it has no nodes: an answer means only that the
request has come."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc

from comment_service.clocks import wall_ms
from dispatcher.checks import check_batch
from dispatcher.config import Config
from dispatcher.core.errors import InvalidRequest
from proto.dispatch_pb2 import (
    ClockRequest,
    ClockResponse,
    PlaceRequest,
    PlaceResponse,
    PublishRequest,
    PublishResponse,
)
from proto.dispatch_pb2_grpc import DispatcherServicer, add_DispatcherServicer_to_server
from proto.event_pb2 import Event, VideoEvents

CONFIG = Config.model_validate({})


def events_of(request: PublishRequest) -> list[tuple[str, Event]]:
    return [
        (video.video_id, event) for video in request.videos for event in VideoEvents.FromString(video.encoded).events
    ]


class FakeDispatcher(DispatcherServicer):
    def __init__(self) -> None:
        self.address = ""
        self.requests: list[PublishRequest] = []
        self.streams = 0
        self.newest_id = 0
        """Of all services, as it tells with each response"""
        self.responds = True
        """Whether a batch is answered. What was withheld stays without an answer."""
        self.refuses: grpc.StatusCode | None = None
        """Each stream ends with this status at its first batch."""
        self.public_url: str | None = "http://127.0.0.1:1"
        """None: no node has room."""
        self.places = asyncio.Event()
        """Not set: Place hangs."""
        self.places.set()
        self.placed: list[str] = []
        """A video for each viewer"""
        self.requests_to_place = 0
        self.seats = 1_000_000
        self.is_old = False
        """It knows nothing of viewers that ask together."""
        self.ahead_ms = 0
        """Its clock"""
        self.clock_answers = asyncio.Event()
        """Not set: Clock hangs, as over a link that has become slow."""
        self.clock_answers.set()
        self.nodes = 1
        self._cut = asyncio.Event()

    @property
    def published(self) -> list[int]:
        """The ids of all events that came, doubles included"""
        return [event.id for _, event in self.events]

    @property
    def events(self) -> list[tuple[str, Event]]:
        """All that came, doubles included, each with its video"""
        return [said for request in self.requests for said in events_of(request)]

    @property
    def catch_ups(self) -> list[int]:
        return [request.catch_up.from_id for request in self.requests if request.HasField("catch_up")]

    def cut(self) -> None:
        """Ends the streams that are open now."""
        self._cut.set()
        self._cut = asyncio.Event()

    async def Publish(self, request_iterator: Any, context: Any) -> AsyncIterator[PublishResponse]:  # noqa: N802
        self.streams += 1
        cut = asyncio.create_task(self._cut.wait())
        try:
            while True:
                reading = asyncio.create_task(context.read())
                await asyncio.wait({cut, reading}, return_when=asyncio.FIRST_COMPLETED)
                if cut.done():
                    reading.cancel()
                    await context.abort(grpc.StatusCode.ABORTED, "cut by the test")
                request = reading.result()
                if request is grpc.aio.EOF:
                    return
                self.requests.append(request)
                try:
                    check_batch(request, CONFIG)
                except InvalidRequest as error:
                    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
                if self.refuses is not None:
                    await context.abort(self.refuses, "refused by the test")
                if self.responds:
                    yield PublishResponse(seq=request.seq, newest_id=self.newest_id)
        finally:
            cut.cancel()

    async def Clock(self, request: ClockRequest, context: Any) -> ClockResponse:  # noqa: N802
        await self.clock_answers.wait()
        return ClockResponse(now_ms=wall_ms() + self.ahead_ms, nodes=self.nodes)

    async def Place(self, request: PlaceRequest, context: Any) -> PlaceResponse:  # noqa: N802
        self.requests_to_place += 1
        self.placed += [request.video_id] * request.viewers
        await self.places.wait()
        room = min(request.viewers, self.seats)
        self.seats -= room
        if self.public_url is None or not room:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "no living node has room")
        response = PlaceResponse(node_id="fake", public_url=self.public_url or "")
        if not self.is_old:
            response.placed.add(node_id="fake", public_url=response.public_url, viewers=room)
        return response


@asynccontextmanager
async def serving(fake: FakeDispatcher, address: str = "127.0.0.1:0") -> AsyncIterator[FakeDispatcher]:
    """The fake listens, as a process would from its start to its kill."""
    server = grpc.aio.server(
        options=[
            ("grpc.so_reuseport", 0),
            ("grpc.http2.min_recv_ping_interval_without_data_ms", 100),
            ("grpc.http2.max_ping_strikes", 0),
        ]
    )
    add_DispatcherServicer_to_server(fake, server)
    fake.address = f"127.0.0.1:{server.add_insecure_port(address)}"
    await server.start()
    try:
        yield fake
    finally:
        await server.stop(None)


@asynccontextmanager
async def fake_dispatcher() -> AsyncIterator[FakeDispatcher]:
    async with serving(FakeDispatcher()) as fake:  # type: ignore[abstract] # RMS nodes don't come here
        yield fake
