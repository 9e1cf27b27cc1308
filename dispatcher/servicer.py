"""Serves gRPC: reads the streams, hands every message to the replica, writes what it has for the peers.

Messages come and go as bytes here. We parse them ourselves, so that garbage is answered with a sentence instead of a
stack trace in the log; and events pass through as they are (wire.py).

Each stream has a reader, a task that ends with it, and a future `ended` that anybody may set: the stream's handler
waits for it. So each end of a stream has one reason, and the peer reads it. Publishers have a writer each; to the nodes
a few write in turn (writers.py). What fails in one call is logged and ends only that call.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from typing import Any, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from dispatcher import checks
from dispatcher.clocks import wall_ms
from dispatcher.core.errors import (
    Aborted,
    DispatcherError,
    Failed,
    InvalidRequest,
    LimitReached,
    NoHello,
    NoRoom,
    NotConnected,
    Stopping,
)
from dispatcher.operators.queries import Queries
from dispatcher.streams.link import Link
from dispatcher.streams.publisher import Publisher
from dispatcher.streams.replica import Replica
from dispatcher.streams.writers import Writers
from proto.dispatch_pb2 import (
    DESCRIPTOR,
    ClockRequest,
    ClockResponse,
    DrainRequest,
    ExplainRequest,
    Hello,
    NodeMessage,
    PlaceRequest,
    PublishRequest,
    PublishResponse,
    TopologyRequest,
)
from proto.tasks import Supervisor, first_ended

SERVICE: str = DESCRIPTOR.services_by_name["Dispatcher"].full_name

STATUS: Mapping[type[DispatcherError], grpc.StatusCode] = {
    InvalidRequest: grpc.StatusCode.INVALID_ARGUMENT,
    LimitReached: grpc.StatusCode.RESOURCE_EXHAUSTED,
    NoHello: grpc.StatusCode.FAILED_PRECONDITION,
    Aborted: grpc.StatusCode.ABORTED,
    NoRoom: grpc.StatusCode.UNAVAILABLE,
    NotConnected: grpc.StatusCode.NOT_FOUND,
    Stopping: grpc.StatusCode.UNAVAILABLE,
    Failed: grpc.StatusCode.INTERNAL,
}

Context = grpc.aio.ServicerContext[bytes, bytes]
Stream = AsyncIterator[bytes]

_Request = TypeVar("_Request", bound=Message)
_Sent = TypeVar("_Sent")  # by the peer: a stream of messages, or one


class Servicer:
    def __init__(self, replica: Replica, tasks: Supervisor) -> None:
        self._replica = replica
        self._queries = Queries(replica)
        self._config = replica.config
        self._hellos_awaited = 0
        self._writers = Writers(self._config.writes_at_once, self._config.write_ms, self._next_message, tasks)

    def handlers(self) -> grpc.GenericRpcHandler:
        """All methods of the service, on bytes"""
        queries = self._queries
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Publish": grpc.stream_stream_rpc_method_handler(self._guarded("Publish", self.publish)),
                "Connect": grpc.stream_stream_rpc_method_handler(self._guarded("Connect", self.connect)),
                "Events": grpc.unary_stream_rpc_method_handler(self._guarded("Events", self.events)),
                "Place": self._unary("Place", PlaceRequest, queries.place),
                "Clock": self._unary(
                    "Clock", ClockRequest, lambda _: ClockResponse(now_ms=wall_ms(), nodes=len(self._replica.links))
                ),
                "Topology": self._unary(
                    "Topology", TopologyRequest, lambda request: queries.topology(request, wall_ms())
                ),
                "Drain": self._unary("Drain", DrainRequest, queries.drain),
                "Explain": self._unary("Explain", ExplainRequest, queries.explain),
            },
        )

    # Nodes

    async def connect(self, messages: Stream, context: Context) -> None:
        try:
            link = self._replica.connect(await self._hello(messages))
        except DispatcherError as error:
            await self._refuse(context, "Connect", error)
            return
        try:
            reason = await _until(
                link.ended, self._read_node(link, messages), self._writers.add(link, context.write).wait_broken()
            )
        except Exception as error:
            reason = self._failed(context, "Connect", error)
            self._replica.end(link.session, reason)
        finally:
            self._replica.end(link.session, None)
        if reason:
            await self._abort(context, reason)

    async def _hello(self, messages: Stream) -> Hello:
        if self._hellos_awaited >= self._config.nodes_max:
            raise LimitReached(f"{self._config.nodes_max} streams are open without a hello; come back later")
        self._hellos_awaited += 1
        try:
            async with asyncio.timeout(self._config.hello_ms / 1000):
                first = checks.parse(NodeMessage, await anext(messages, b""))
        except TimeoutError:
            raise NoHello(f"no hello within {self._config.hello_ms} ms") from None
        finally:
            self._hellos_awaited -= 1
        if not first.HasField("hello"):
            raise NoHello(f"the first message must be a hello, not {first.WhichOneof('message')}")
        return first.hello

    async def _read_node(self, link: Link, messages: Stream) -> None:
        try:
            async for encoded in messages:
                self._replica.receive(link, checks.parse(NodeMessage, encoded))
        except DispatcherError as error:
            self._replica.end(link.session, error)
        self._replica.end(link.session, None)

    def _next_message(self, link: Link) -> bytes | None:
        return link.next_message(self._replica.now_ms(), self._replica.ack_within_ms)

    # Publishers

    async def publish(self, requests: Stream, context: Context) -> None:
        try:
            publisher = self._replica.open_publisher(context.peer())
        except DispatcherError as error:
            await self._refuse(context, "Publish", error)
            return
        try:
            reason = await _until(
                publisher.ended, self._read_batches(publisher, requests), self._write_responses(publisher, context)
            )
        finally:
            self._replica.close_publisher(publisher)
        if reason:
            await self._refuse(context, "Publish", reason)

    async def _read_batches(self, publisher: Publisher, requests: Stream) -> None:
        try:
            async for encoded in requests:
                if publisher.finished:
                    break
                checks.check_batch_size(encoded, self._config)
                self._replica.publish(publisher, checks.parse(PublishRequest, encoded))
                await publisher.wait_room()
            publisher.finish(None)
        except DispatcherError as error:
            publisher.end(error)
        await asyncio.shield(publisher.ended)

    async def _write_responses(self, publisher: Publisher, context: Context) -> None:
        while True:
            seqs = await publisher.done_batches()
            replica = self._replica
            response = PublishResponse(
                seq=seqs[0], seqs=seqs[1:], newest_id=replica.newest.id, in_doubt=replica.is_in_doubt
            )
            await context.write(response.SerializeToString())
            publisher.written(len(seqs))

    # Operators who watch

    async def events(self, _encoded: bytes, context: Context) -> None:
        try:
            watcher = self._replica.watchers.open()
        except DispatcherError as error:
            await self._refuse(context, "Events", error)
            return
        try:
            await context.send_initial_metadata(())  # from now on nothing is missed, and the peer knows it
            while True:
                await context.write((await watcher.next()).SerializeToString())
        except Stopping as error:
            await self._abort(context, error)
        finally:
            self._replica.watchers.close(watcher)

    # How calls end

    def _unary(
        self, method: str, kind: type[_Request], respond: Callable[[_Request], Message]
    ) -> "grpc.RpcMethodHandler[bytes, bytes]":
        """The handler of a call with one request and one response"""

        async def handle(encoded: bytes, context: Context) -> bytes:
            try:
                response = respond(checks.parse(kind, encoded))
            except DispatcherError as error:
                await context.abort(STATUS[type(error)], str(error))
            except Exception as error:
                await context.abort(STATUS[Failed], str(self._failed(context, method, error)))
            return response.SerializeToString()

        return grpc.unary_unary_rpc_method_handler(handle)

    def _guarded(
        self, method: str, handle: Callable[[_Sent, Context], Awaitable[None]]
    ) -> Callable[[_Sent, Context], Coroutine[Any, Any, None]]:
        """The handler of a stream: what fails in it is logged, and ends only that stream."""

        async def guarded(sent: _Sent, context: Context) -> None:
            try:
                await handle(sent, context)
            except grpc.aio.BaseError:  # the peer went away, or `abort` has ended the call
                raise
            except Exception as error:
                await self._abort(context, self._failed(context, method, error))

        return guarded

    def _failed(self, context: Context, method: str, error: Exception) -> Failed:
        self._replica.journal.failed("call failed", error, method=method, peer=context.peer())
        return Failed()

    async def _refuse(self, context: Context, method: str, error: DispatcherError) -> None:
        self._replica.journal.note("peer refused", method=method, peer=context.peer(), reason=str(error))
        await self._abort(context, error)

    async def _abort(self, context: Context, error: DispatcherError) -> None:
        """Ends the call with the error's status.

        The status waits behind what the peer hasn't read yet, perhaps for ever: then its connection's keepalive, and
        not this handler, ends the call.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._config.close_ms / 1000):
                await context.abort(STATUS[type(error)], str(error))


async def _until(
    ended: asyncio.Future[DispatcherError | None], *work: Coroutine[Any, Any, None]
) -> DispatcherError | None:
    """Does the work until `ended` is set, and returns what it was set to; None if the peer went away before.

    Raises what failed in the work, unless it is only that the peer went away.
    """

    async def wait_ended() -> None:
        await asyncio.wait((ended,))

    await first_ended(wait_ended(), *(_while_connected(each) for each in work))
    return ended.result() if ended.done() else None


async def _while_connected(work: Coroutine[Any, Any, None]) -> None:
    """Ends without an error when the peer goes away."""
    with contextlib.suppress(grpc.aio.BaseError):
        await work
