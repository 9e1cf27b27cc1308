"""Runs a replica as a gRPC server: the service, its health, reflection, metrics, and the beat of its leases."""

import asyncio
import socket
from collections.abc import Callable
from typing import cast

import grpc.aio
import structlog
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from dispatcher.clocks import monotonic_ms
from dispatcher.config import Config
from dispatcher.operators.metrics import MetricsServer
from dispatcher.servicer import SERVICE, Servicer
from dispatcher.streams.replica import Replica
from proto.channel import listen
from proto.settings import is_wildcard, join_address, split_address
from proto.tasks import Supervisor

log = structlog.stdlib.get_logger()


class _Pool:
    """What reflection looks up. Python's own pool doesn't find the file of a method, and ghz asks for just that."""

    def __init__(self) -> None:
        self._pool = descriptor_pool.Default()

    def __getattr__(self, name: str) -> object:
        return getattr(self._pool, name)

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:  # noqa: N802 # the pool's own name
        """Raises KeyError."""
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            return self._pool.FindMethodByName(symbol).containing_service.file


class Server:
    """Built in a running loop. `run` once; `stop` ends it."""

    def __init__(self, config: Config, now_ms: Callable[[], int], supervisor: Supervisor) -> None:
        """Takes the ports. Raises OSError if one is taken, or if a certificate can't be read."""
        self.config = config
        self.ready = asyncio.Event()
        """set when it serves"""
        self._stopping = asyncio.Event()
        self._supervisor = supervisor
        self._server = grpc.aio.server(options=_options(config))
        self.listen = self._take_port()
        self.replica = Replica(config, config.replica_id or self._name(), now_ms)
        self._server.add_generic_rpc_handlers([Servicer(self.replica, supervisor).handlers()])
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        services = (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(services, self._server, pool=cast(descriptor_pool.DescriptorPool, _Pool()))
        self.metrics: MetricsServer | None = None
        if config.metrics_listen:
            self.metrics = MetricsServer(config.metrics_listen, self.replica, config.metrics_ms)

    async def run(self) -> None:
        """Serves until `stop`; then lets batches be acknowledged and ends all streams, within about `stop_ms`."""
        try:
            await self._health.set(SERVICE, health_pb2.HealthCheckResponse.SERVING)
            await self._server.start()
            self._supervisor.keep("leases", self._check_leases)
            if self.metrics:
                self._supervisor.keep("metrics", self.metrics.serve)
            log.info("dispatcher ready", listen=self.listen, replica=self.replica.replica_id)
            self.ready.set()
            await self._stopping.wait()
            log.info("dispatcher stopping", listen=self.listen)
        finally:
            await self._end()
            log.info("dispatcher stopped", listen=self.listen)

    def stop(self) -> None:
        self._stopping.set()

    async def _end(self) -> None:
        """Says in its health that it isn't serving, waits for batches that are under way, then ends the streams."""
        await self._health.enter_graceful_shutdown()
        until_ms = monotonic_ms() + self.config.stop_ms
        publishers_ended = self.replica.stop_publishers()
        if publishers_ended:
            await asyncio.wait(publishers_ended, timeout=self.config.stop_ms / 1000)
        self.replica.stop_links()
        if self.metrics:
            await self.metrics.close()
        await self._supervisor.close()
        await self._server.stop(grace=max(self.config.close_ms, until_ms - monotonic_ms()) / 1000)

    async def _check_leases(self) -> None:
        while True:
            await asyncio.sleep(self.config.beat_ms / 1000)
            self.replica.check_leases()

    def _name(self) -> str:
        """The address that it listens on, which differs from host to host"""
        _, port = split_address(self.listen)
        return join_address(socket.gethostname(), port) if is_wildcard(self.listen) else self.listen

    def _take_port(self) -> str:
        """The address that it listens on. Raises OSError."""
        host, port = split_address(self.config.listen)
        try:
            return join_address(host, listen(self._server, join_address(host, port), self.config.tls()))
        except RuntimeError as error:  # gRPC's own for a port that is taken
            raise OSError(str(error)) from error


def _options(config: Config) -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", 0),  # a second process on the same port must fail, not take half of the peers
        ("grpc.max_receive_message_length", config.message_bytes_max),
        ("grpc.max_send_message_length", -1),  # what we send is bounded where it is made
        ("grpc.max_concurrent_streams", config.streams_per_connection_max),
        ("grpc.keepalive_time_ms", config.keepalive_ms),
        ("grpc.keepalive_timeout_ms", config.keepalive_timeout_ms),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.http2.bdp_probe", 0),  # one more ping for each message, on thousands of connections; instead, whoever
        ("grpc.http2.lookahead_bytes", config.message_bytes_max),  # sends may have one message on its way
        ("grpc.http2.max_ping_strikes", 0),  # clients look for dead replicas just as eagerly
    ]
