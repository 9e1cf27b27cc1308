"""A dispatcher replica that does what a test wants, over real gRPC. It registers nothing and places nobody; it can keep
silent, withhold acknowledgements and cut streams, which a real one does only when it dies."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc

from history.core.model import Change, Comment
from history.core.stream_data import name_and_data
from proto import dispatch_pb2, event_pb2
from proto.dispatch_pb2_grpc import DispatcherServicer, add_DispatcherServicer_to_server
from rms.clocks import wall_ms
from tests.waiting import eventually


class FakeDispatcher(DispatcherServicer):
    def __init__(self) -> None:
        self.address = ""
        self.hellos: list[dispatch_pb2.Hello] = []
        self.beats: list[dispatch_pb2.Beat] = []
        self.interest: dict[str, bool] = {}
        self.delivered = 0
        """the last number that the node has acknowledged"""
        self.refuses = False
        """ends every new stream before its welcome"""
        self.welcomes = True
        """False: a new stream gets no word until this is True, or `refuses` is"""
        self.acknowledges_interest = True
        self.answers_beats = True
        self.catch_up_from_id = 0
        """goes into the next welcome"""
        self.lease_ms = 5_000
        self.cut_code = grpc.StatusCode.ABORTED
        self.totals: dict[str, int] = {}
        """viewers on all nodes; goes into the answers to beats"""
        self.ahead_ms = 0
        """its clock"""
        self.placements: list[str] = []
        """node ids; the first one that isn't excluded takes every viewer"""
        self._down: asyncio.Queue[dispatch_pb2.DispatcherMessage | None] | None = None
        self._number = 0

    async def Connect(  # noqa: N802 (gRPC's name)
        self, request_iterator: Any, context: Any
    ) -> AsyncIterator[dispatch_pb2.DispatcherMessage]:
        first = await anext(request_iterator)
        self.hellos.append(first.hello)
        await eventually(lambda: self.welcomes or self.refuses)
        if self.refuses:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "refused by the test")
        self.interest = {video.video_id: True for video in first.hello.videos}
        down: asyncio.Queue[dispatch_pb2.DispatcherMessage | None] = asyncio.Queue()
        self._number = self.delivered = 0
        listening = asyncio.create_task(self._listen(request_iterator, down))
        welcome = dispatch_pb2.Welcome(
            replica_id="fake", lease_ms=self.lease_ms, beat_ms=50, catch_up_from_id=self.catch_up_from_id
        )
        try:
            yield dispatch_pb2.DispatcherMessage(welcome=welcome)
            self._down = down
            while (message := await down.get()) is not None:
                yield message
            await context.abort(self.cut_code, "cut by the test")
        finally:
            if self._down is down:
                self._down = None
            listening.cancel()

    async def Clock(  # noqa: N802
        self, request: dispatch_pb2.ClockRequest, context: Any
    ) -> dispatch_pb2.ClockResponse:
        return dispatch_pb2.ClockResponse(now_ms=wall_ms() + self.ahead_ms)

    async def Place(self, request: dispatch_pb2.PlaceRequest, context: Any) -> dispatch_pb2.PlaceResponse:  # noqa: N802
        for node_id in self.placements:
            if node_id not in request.exclude_node_ids:
                return dispatch_pb2.PlaceResponse(node_id=node_id, public_url="http://door.example")
        await context.abort(grpc.StatusCode.UNAVAILABLE, "no node has room")
        raise AssertionError

    async def _listen(self, messages: Any, down: "asyncio.Queue[dispatch_pb2.DispatcherMessage | None]") -> None:
        async for message in messages:
            match message.WhichOneof("message"):
                case "interest":
                    self.interest.update(dict.fromkeys(message.interest.joined, True))
                    self.interest.update(dict.fromkeys(message.interest.left, False))
                    if self.acknowledges_interest:
                        interest_ack = dispatch_pb2.InterestAck(number=message.interest.number)
                        down.put_nowait(dispatch_pb2.DispatcherMessage(interest_ack=interest_ack))
                case "beat":
                    self.beats.append(message.beat)
                    self.delivered = max(self.delivered, message.beat.delivered)
                    if self.answers_beats:
                        totals = [dispatch_pb2.VideoViewers(video_id=v, viewers=n) for v, n in self.totals.items()]
                        ack = dispatch_pb2.BeatAck(videos=totals)
                        down.put_nowait(dispatch_pb2.DispatcherMessage(beat_ack=ack))
                case "delivered":
                    self.delivered = message.delivered.number
        down.put_nowait(None)

    @property
    def connected(self) -> bool:
        return self._down is not None

    def deliver(self, comments: Sequence[Comment]) -> int:
        """Returns the delivery's number."""
        return self.deliver_events(*((comment.video_id, _message(comment)) for comment in comments))

    def erase(self, video_id: str, own_id: int, erased_id: int) -> None:
        name, data = name_and_data(Change(own_id, video_id, "erased", target_id=erased_id))
        erased = event_pb2.Erased(comment_id=erased_id)
        self.deliver_events((video_id, event_pb2.Event(id=own_id, name=name, data=data, erased=erased)))

    def deliver_events(self, *events: tuple[str, event_pb2.Event]) -> int:
        """Each with its video. Returns the delivery's number."""
        assert self._down is not None
        self._number += 1
        videos: dict[str, event_pb2.VideoEvents] = {}
        for video_id, event in events:
            videos.setdefault(video_id, event_pb2.VideoEvents(video_id=video_id)).events.append(event)
        deliver = dispatch_pb2.Deliver(number=self._number, videos=videos.values())
        self._down.put_nowait(dispatch_pb2.DispatcherMessage(deliver=deliver))
        return self._number

    def catch_up(self, from_id: int) -> int:
        assert self._down is not None
        self._number += 1
        catch_up = dispatch_pb2.CatchUp(number=self._number, from_id=from_id)
        self._down.put_nowait(dispatch_pb2.DispatcherMessage(catch_up=catch_up))
        return self._number

    def say(self, message: dispatch_pb2.DispatcherMessage) -> None:
        assert self._down is not None
        self._down.put_nowait(message)

    def cut(self) -> None:
        assert self._down is not None
        self._down.put_nowait(None)
        self._down = None


def _message(comment: Comment) -> event_pb2.Event:
    name, data = name_and_data(comment)
    return event_pb2.Event(id=comment.id, name=name, data=data, comment=event_pb2.Comment())


@asynccontextmanager
async def fake_dispatcher(address: str = "127.0.0.1:0") -> AsyncIterator[FakeDispatcher]:
    fake = FakeDispatcher()  # type: ignore[abstract]
    server = grpc.aio.server()
    add_DispatcherServicer_to_server(fake, server)
    port = server.add_insecure_port(address)
    fake.address = f"127.0.0.1:{port}"
    await server.start()
    try:
        yield fake
    finally:
        await server.stop(None)
