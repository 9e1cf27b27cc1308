"""Drains a node, or ends its drain, and waits until every replica has seen the node do so."""

from collections.abc import Sequence
from dataclasses import dataclass

import grpc

from dispatcher.cli.survey import Unreachable, reason_of, survey
from dispatcher.clocks import block_s, monotonic_ms
from dispatcher.config import TOPOLOGY
from dispatcher.core.life import State
from proto.channel import blocking_channel
from proto.dispatch_pb2 import DrainRequest, TopologyRequest
from proto.dispatch_pb2_grpc import DispatcherStub
from proto.tls import Tls


@dataclass(frozen=True, slots=True)
class Drained:
    """What came of the request"""

    known: bool  # a replica that answers has the node
    agreed: bool  # the node's beats have confirmed it to all replicas that have the node
    viewers: int
    unreachable: tuple[Unreachable, ...]


def drain(
    addresses: Sequence[str],
    request: DrainRequest,
    timeout_ms: int,
    until_empty_ms: int | None = None,
    tls: Tls | None = None,
) -> Drained:
    """Sends the request to one replica that has the node, and waits up to `timeout_ms` for the node's confirmation.

    until_empty_ms: waits up to so long as well until the node has no viewers. None: doesn't.
    """
    known, unreachable = _request(addresses, request, timeout_ms, tls)
    wanted = State.DRAINING if request.draining else State.LIVE
    agreed, viewers = False, 0
    agree_by_ms = monotonic_ms() + timeout_ms
    empty_by_ms = monotonic_ms() + (until_empty_ms or 0)
    while known:
        nodes = survey(addresses, TopologyRequest(), timeout_ms, tls).nodes()
        found = [row for row in nodes if row.node_id == request.node_id]
        viewers = sum(row.viewers for row in found)
        agreed = all(row.state == wanted.value for row in found)
        now_ms = monotonic_ms()
        if (agreed and (not viewers or now_ms > empty_by_ms)) or (not agreed and now_ms > agree_by_ms):
            break
        block_s(TOPOLOGY.poll_ms / 1000)
    return Drained(known, agreed, viewers, tuple(unreachable))


def _request(
    addresses: Sequence[str], request: DrainRequest, timeout_ms: int, tls: Tls | None
) -> tuple[bool, list[Unreachable]]:
    """Whether a replica has passed it on, and which ones couldn't be reached before. One is enough: the node's beats
    tell the others."""
    unreachable = []
    for address in addresses:
        with blocking_channel(address, tls) as channel:
            try:
                DispatcherStub(channel).Drain(request, timeout=timeout_ms / 1000)
            except grpc.RpcError as error:
                code = error.code()
                if code is not grpc.StatusCode.NOT_FOUND:
                    unreachable.append(Unreachable(address, reason_of(code, error.details(), timeout_ms)))
            else:
                return True, unreachable
    return False, unreachable
