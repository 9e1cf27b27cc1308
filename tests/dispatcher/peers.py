"""Plays the two kinds of peers that a replica has: real gRPC, but they do only what the test says.

A NodePeer acknowledges nothing and beats never unless the test says so; a real node does both by itself.
"""

import asyncio
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

import grpc.aio

from dispatcher.__main__ import build
from dispatcher.config import Config
from dispatcher.server import Server
from proto.channel import aio_channel
from proto.dispatch_pb2 import (
    Beat,
    CatchUpOrder,
    Deliver,
    Delivered,
    DispatcherMessage,
    Hello,
    Interest,
    Load,
    NodeMessage,
    PublishRequest,
    PublishResponse,
    Unreadable,
    VideoBatch,
    VideoViewers,
    Welcome,
)
from proto.dispatch_pb2_grpc import DispatcherStub
from proto.event_pb2 import Comment, Event, VideoEvents
from proto.tls import Tls

PATIENT_MS = 600_000
WAIT_S = 30  # for anything that must happen; only a broken replica needs it all


Said = tuple[str, Event]
"""A video's id, and an event of it"""


def comment(comment_id: int, video_id: str = "demo", message: str = "hi") -> Said:
    return video_id, Event(id=comment_id, data=message.encode(), comment=Comment())


def batches(*said: Said) -> list[VideoBatch]:
    """As a comment_service makes them: one for each video"""
    videos: dict[str, list[Event]] = {}
    for video_id, event in said:
        videos.setdefault(video_id, []).append(event)
    return [
        VideoBatch(
            video_id=video_id,
            low_id=min(event.id for event in events),
            high_id=max(event.id for event in events),
            events=len(events),
            encoded=VideoEvents(video_id=video_id, events=events).SerializeToString(),
        )
        for video_id, events in videos.items()
    ]


def ids_of(deliver: Deliver) -> list[int]:
    return [event.id for video in deliver.videos for event in video.events]


class RunningReplica:
    """A replica on a free port, in this process: `async with RunningReplica(beat_ms=...) as server`

    Unless the test says so, it is patient: NodePeers don't beat, and on a busy machine nobody shall be expired.
    """

    def __init__(self, **settings: int | str) -> None:
        patient = {"lease_ms": PATIENT_MS, "ack_ms_max": PATIENT_MS, "stop_ms": 0, "close_ms": 100}
        self._config = Config.model_validate({"listen": "127.0.0.1:0", **patient, **settings})

    async def __aenter__(self) -> Server:
        self._server = await build(self._config)
        self._running = asyncio.create_task(self._server.run())
        ready = asyncio.create_task(self._server.ready.wait())
        await asyncio.wait((self._running, ready), return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            ready.cancel()
            await self._running
        return self._server

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()
        await self._running


class _Peer:
    def __init__(self, address: str, tls: Tls | None) -> None:
        self._channel = aio_channel(address, tls)
        self.stub = DispatcherStub(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.close()


class NodePeer(_Peer):
    """One node at one replica"""

    def __init__(self, address: str, node_id: str = "rms-1", incarnation: int = 1, tls: Tls | None = None) -> None:
        super().__init__(address, tls)
        self.node_id = node_id
        self.incarnation = incarnation
        self.call = self.stub.Connect()
        self._interests = 0
        self.unreadable: list[Unreadable] = []

    async def hello(self, videos: Mapping[str, int] | None = None, capacity: int = 1000, silent_ms: int = 0) -> Welcome:
        await self.say(
            hello=Hello(
                node_id=self.node_id,
                incarnation=self.incarnation,
                public_url=f"http://{self.node_id}:8000",
                capacity_viewers=capacity,
                load=Load(viewers=sum((videos or {}).values())),
                videos=[VideoViewers(video_id=video, viewers=viewers) for video, viewers in (videos or {}).items()],
                silent_ms=silent_ms,
            )
        )
        return (await self.hears("welcome")).welcome

    async def joins(self, *video_ids: str, left: Sequence[str] = ()) -> None:
        """Returns when the interest is acknowledged."""
        self._interests += 1
        await self.say(interest=Interest(number=self._interests, joined=video_ids, left=left))
        ack = (await self.hears("interest_ack")).interest_ack
        assert ack.number == self._interests
        self.unreadable = list(ack.unreadable)

    async def beats(
        self, viewers: int = 0, videos: Mapping[str, int] | None = None, draining: bool = False
    ) -> dict[str, int]:
        """Returns when the beat is acknowledged, with the viewers on all nodes that the BeatAck has."""
        changed = [VideoViewers(video_id=video, viewers=count) for video, count in (videos or {}).items()]
        await self.say(beat=Beat(load=Load(viewers=viewers), videos=changed, draining=draining))
        return {video.video_id: video.viewers for video in (await self.hears("beat_ack")).beat_ack.videos}

    async def acknowledges(self, number: int) -> None:
        await self.say(delivered=Delivered(number=number))

    async def say(
        self,
        hello: Hello | None = None,
        beat: Beat | None = None,
        interest: Interest | None = None,
        delivered: Delivered | None = None,
    ) -> None:
        await self.call.write(NodeMessage(hello=hello, beat=beat, interest=interest, delivered=delivered))

    async def hears(self, kind: str) -> DispatcherMessage:
        """The next message, which must be of that kind. Raises AioRpcError if the stream has ended."""
        async with asyncio.timeout(WAIT_S):
            message = await self.call.read()
        assert isinstance(message, DispatcherMessage), f"the replica closed the stream instead of saying {kind}"
        assert message.WhichOneof("message") == kind, message
        return message

    async def receives(self, *ids: int) -> int:
        """The next message delivers exactly these events. Returns its number."""
        deliver = (await self.hears("deliver")).deliver
        assert ids_of(deliver) == list(ids)
        return deliver.number

    async def ended(self) -> tuple[grpc.StatusCode, str]:
        """How the replica ended the stream. What it said before is not looked at."""
        async with asyncio.timeout(WAIT_S):
            while isinstance(await self._read_or_end(), DispatcherMessage):
                pass
            return await self.call.code(), await self.call.details()

    async def _read_or_end(self) -> object:
        try:
            return await self.call.read()
        except grpc.aio.AioRpcError:
            return None


class PublisherPeer(_Peer):
    """One comment_service at one replica"""

    def __init__(self, address: str, tls: Tls | None = None) -> None:
        super().__init__(address, tls)
        self.call = self.stub.Publish()
        self._answers: list[int] = []
        self.answer = PublishResponse()

    async def publishes(self, seq: int, *said: Said) -> None:
        await self.sends(PublishRequest(seq=seq, videos=batches(*said)))

    async def orders_catch_up(
        self, seq: int, from_id: int, *video_ids: str, up_to_id: int = 0, service: int = 0
    ) -> None:
        order = CatchUpOrder(from_id=from_id, up_to_id=up_to_id, video_ids=video_ids, service=service)
        await self.sends(PublishRequest(seq=seq, catch_up=order))

    async def sends(self, request: PublishRequest) -> None:
        await self.call.write(request)

    async def is_answered(self) -> int:
        """The seq of the next answer, which is in `answer`"""
        if not self._answers:
            async with asyncio.timeout(WAIT_S):
                answer = await self.call.read()
            if not isinstance(answer, PublishResponse):
                raise AssertionError(f"the stream ended: {await self.call.code()} {await self.call.details()}")
            self.answer = answer
            self._answers = [answer.seq, *answer.seqs]
        return self._answers.pop(0)

    async def ended(self) -> tuple[grpc.StatusCode, str]:
        async with asyncio.timeout(WAIT_S):
            return await self.call.code(), await self.call.details()
