"""cassandra-driver for asyncio: its futures become awaitables, its errors one sentence each.

Requests and responses stay on the event loop (cassandra/connection.py). Connecting, preparing and shutting down block,
so they happen in a thread.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Sequence
from functools import partial
from typing import Any

from cassandra import ConsistencyLevel, InvalidRequest, ReadFailure, RequestValidationException, WriteFailure
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable, Session
from cassandra.policies import (
    ConstantReconnectionPolicy,
    ConstantSpeculativeExecutionPolicy,
    DCAwareRoundRobinPolicy,
    TokenAwarePolicy,
)
from cassandra.protocol import RequestValidationException as InvalidMessage
from cassandra.protocol import ServerError
from cassandra.query import PreparedStatement, Statement, tuple_factory

from history.cassandra.access import Access
from history.cassandra.connection import LoopConnection
from history.cassandra.sealed import connection_class
from history.config import StoreSettings
from history.store import StoreRefuses, StoreUnavailable

Row = tuple[Any, ...]

PROTOCOL_VERSION = 5
"""Cassandra 4.0 and later. Each frame carries a checksum. Without it the driver tries each version from 66 down."""

SECOND_TRIES_MAX = 2
"""With three replicas, each is asked in the end."""


PERMANENT = (
    RequestValidationException,
    InvalidMessage,
    TypeError,
    ValueError,
    AttributeError,
    LookupError,
    struct.error,
)
"""A statement that no server takes, or one that can't even be sent: its values don't fit its columns"""


class UnknownTable(StoreRefuses):
    """The statement doesn't fit the schema: the keyspace or a table isn't there, or not yet."""


class ServerFailed(StoreUnavailable):
    """A node met an error of its own. The usual one is brief: processes that start together change the schema, and for
    a moment the node knows a table whose files it hasn't opened yet."""


class CassandraSession:
    """A connected session. It reconnects by itself after the cluster was away."""

    def __init__(self, cluster: Cluster, session: Session, settings: StoreSettings) -> None:
        self._cluster = cluster
        self._connections: type[LoopConnection] = cluster.connection_class
        self._session = session
        self._requests = asyncio.Semaphore(settings.cassandra_requests_max)

    @classmethod
    async def connect(cls, hosts: Sequence[str], port: int, settings: StoreSettings) -> "CassandraSession":
        """hosts: of the nearest data centre. Raises StoreUnavailable if none answers, and StoreRefuses if one answers
        and doesn't let us in: its sentence says what has to be changed."""
        try:
            connections = connection_class(Access(settings.cassandra_access))
        except OSError as error:
            raise StoreRefuses(f"Cassandra: {error}") from error
        connecting = _Connecting(hosts, port, settings, connections)
        try:
            cluster, session = await asyncio.to_thread(connecting.run)
        except asyncio.CancelledError:
            connecting.abandon()
            raise
        except Exception as error:  # the driver's errors have no common base
            if refusal := next(iter(connections.refusals.values()), ""):
                raise StoreRefuses(f"Cassandra at {','.join(hosts)}:{port}: {refusal}") from error
            raise StoreUnavailable(f"Cassandra at {','.join(hosts)}:{port}: {_sentence(error)}") from error
        return cls(cluster, session, settings)

    async def execute(self, statement: Statement | str, parameters: Sequence[object] | None = None) -> list[Row]:
        """All rows. Raises UnknownTable, ServerFailed, or StoreUnavailable after `cassandra_request_timeout_ms` at the
        latest.

        That time counts from when the request is sent; it waits before while `cassandra_requests_max` are under way.
        """
        async with self._requests:
            return await self._execute(statement, parameters)

    async def execute_schema(self, statement: str, timeout_ms: int) -> None:
        """Changes the schema, and returns when all living nodes agree on it. Raises as `execute` does."""
        await self._execute(statement, None, timeout=timeout_ms / 1000)

    async def prepare(self, statement: str) -> PreparedStatement:
        """The statement is idempotent: the driver may repeat it on another node."""
        try:
            prepared = await asyncio.to_thread(self._session.prepare, statement)
        except Exception as error:
            raise self._store_error(error) from error
        prepared.is_idempotent = True
        return prepared

    def local_datacenter(self) -> tuple[str, int]:
        """Its name, and how many nodes of it are known."""
        if (nearest := self._cluster.get_control_connection_host()) is None:
            raise StoreUnavailable("Cassandra: the connection was lost")
        name = nearest.datacenter
        return name, sum(host.datacenter == name for host in self._cluster.metadata.all_hosts())

    async def close(self) -> None:
        await asyncio.to_thread(self._cluster.shutdown)

    async def _execute(
        self, statement: Statement | str, parameters: Sequence[object] | None, **options: float
    ) -> list[Row]:
        waiter: asyncio.Future[list[Row] | Exception] = asyncio.get_running_loop().create_future()

        def resolve(outcome: list[Row] | Exception | None) -> None:
            if not waiter.done():
                waiter.set_result([] if outcome is None else outcome)

        def deliver(outcome: list[Row] | Exception | None) -> None:  # in the loop's thread, as a rule
            self._connections.on_loop(resolve, outcome)

        try:
            self._session.execute_async(statement, parameters, **options).add_callbacks(deliver, deliver)
        except UnicodeEncodeError:
            raise  # a lone surrogate in a text: the caller's fault
        except Exception as error:
            raise self._store_error(error) from error
        outcome = await waiter
        if isinstance(outcome, Exception):
            raise self._store_error(outcome) from outcome
        return outcome

    def _store_error(self, error: Exception) -> StoreUnavailable:
        """No host can be used, and one of them has refused us: a password was changed, or a certificate has expired."""
        if isinstance(error, NoHostAvailable) and not _is_servers(error):
            refusals = self._connections.refusals
            for host in self._cluster.metadata.all_hosts():
                if refusal := refusals.get(host.endpoint):
                    return StoreRefuses(f"Cassandra at {host.endpoint}: {refusal}")
        return _store_error(error)


class _Connecting:
    """Connects in a thread. If the caller is cancelled meanwhile, the driver is shut down as soon as it is connected:
    it would reconnect for ever, on a loop that may have ended."""

    def __init__(
        self, hosts: Sequence[str], port: int, settings: StoreSettings, connections: type[LoopConnection]
    ) -> None:
        self._connect = partial(_connect, hosts, port, settings, connections)
        self._lock = threading.Lock()
        self._is_abandoned = False
        self._made: Cluster | None = None

    def run(self) -> tuple[Cluster, Session]:
        cluster, session = self._connect()
        with self._lock:
            self._made = cluster
            is_abandoned = self._is_abandoned
        if is_abandoned:
            cluster.shutdown()
        return cluster, session

    def abandon(self) -> None:
        """Doesn't wait."""
        with self._lock:
            self._is_abandoned = True
            made = self._made
        if made is not None:
            threading.Thread(target=made.shutdown, name="cassandra-shutdown").start()


def _connect(
    hosts: Sequence[str], port: int, settings: StoreSettings, connections: type[LoopConnection]
) -> tuple[Cluster, Session]:
    profile = ExecutionProfile(
        load_balancing_policy=TokenAwarePolicy(DCAwareRoundRobinPolicy()),
        # Quorums of writes and reads overlap: a read sees each comment that was acknowledged before it began, whichever
        # nodes respond. An RMS's backfill needs that.
        consistency_level=ConsistencyLevel.LOCAL_QUORUM,
        serial_consistency_level=ConsistencyLevel.LOCAL_SERIAL,  # compare and set agrees within the data centre
        request_timeout=settings.cassandra_request_timeout_ms / 1000,
        row_factory=tuple_factory,
        speculative_execution_policy=ConstantSpeculativeExecutionPolicy(
            settings.cassandra_second_try_ms / 1000, SECOND_TRIES_MAX
        ),
    )
    cluster = Cluster(
        list(hosts),
        port=port,
        protocol_version=PROTOCOL_VERSION,
        connection_class=connections,
        auth_provider=connections.access.provider(),
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        # Without it some sizes of request wait 40 ms each for a delayed acknowledgement.
        sockopts=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        connect_timeout=settings.cassandra_connect_timeout_ms / 1000,
        control_connection_timeout=settings.cassandra_connect_timeout_ms / 1000,
        reconnection_policy=ConstantReconnectionPolicy(settings.cassandra_reconnect_ms / 1000, max_attempts=None),
        idle_heartbeat_interval=settings.cassandra_heartbeat_ms / 1000,
        idle_heartbeat_timeout=settings.cassandra_heartbeat_ms / 1000,
        monitor_reporting_enabled=False,
    )
    try:
        session = cluster.connect()
    except Exception:
        cluster.shutdown()
        raise
    session.default_fetch_size = None  # every query has a LIMIT: one response holds all rows
    return cluster, session


def _store_error(error: Exception) -> StoreUnavailable:
    """What a request's error means to its caller"""
    words = f"Cassandra: {_sentence(error)}"
    if isinstance(error, InvalidRequest):
        return UnknownTable(words)
    if isinstance(error, PERMANENT):
        return StoreRefuses(words)
    return ServerFailed(words) if _is_servers(error) else StoreUnavailable(words)


def _is_servers(error: Exception) -> bool:
    """The driver asks every host after a ServerError, and then reports the errors of them all."""
    errors = error.errors.values() if isinstance(error, NoHostAvailable) else [error]
    return any(isinstance(each, ServerError | ReadFailure | WriteFailure) for each in errors)


def _sentence(error: BaseException) -> str:
    """The driver's error, without line breaks and in bounded length"""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
