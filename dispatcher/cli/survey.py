"""Asks every replica what it knows, and merges the responses into the rows that scripts/topology shows.

Replicas don't talk to each other, so they may disagree for a moment. Each row says how many replicas know of it; where
numbers differ it has the largest, which costs most to overlook.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, TypeVar

import grpc

from dispatcher.clocks import monotonic_ms
from dispatcher.config import TOPOLOGY
from proto.channel import blocking_channel
from proto.dispatch_pb2 import NodeState, TopologyRequest, TopologyResponse, VideoState
from proto.dispatch_pb2_grpc import DispatcherStub
from proto.tls import Tls

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_Response = TypeVar("_Response")


@dataclass(frozen=True, slots=True)
class Unreachable:
    address: str
    reason: str


@dataclass(frozen=True, slots=True)
class NodeRow:
    node_id: str
    public_url: str
    state: str
    viewers: int
    capacity_viewers: int
    videos: int
    connected_ms: int  # the shortest of all replicas
    heard_ms_ago: int  # the longest
    outbox_events: int
    unacked_events: int
    incarnation: int
    replicas: tuple[str, ...]  # those that it is connected to


@dataclass(frozen=True, slots=True)
class VideoRow:
    video_id: str
    viewers: int
    node_ids: tuple[str, ...]  # according to any replica
    replicas: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReplicaRow:
    replica_id: str
    address: str
    uptime_ms: int
    nodes: int
    videos: int
    viewers: int
    missing_nodes: tuple[str, ...]  # which another replica knows and this one doesn't
    differences: tuple[str, ...]  # sentences, for people
    unacked_events: int


@dataclass(frozen=True, slots=True)
class Survey:
    responses: tuple[tuple[str, TopologyResponse], ...]  # address, response
    unreachable: tuple[Unreachable, ...]
    took_ms: int = 0  # from the question to the last answer: so far apart the replicas may have read their clocks

    def nodes(self) -> list[NodeRow]:
        """By node id"""
        seen: dict[str, list[tuple[str, NodeState]]] = {}
        for _, response in self.responses:
            for node in response.nodes:
                seen.setdefault(node.node_id, []).append((response.replica_id, node))
        return [_node_row(seen[node_id]) for node_id in sorted(seen)]

    def videos(self) -> list[VideoRow]:
        """Most viewers first"""
        seen: dict[str, list[tuple[str, VideoState]]] = {}
        for _, response in self.responses:
            for video in response.videos:
                seen.setdefault(video.video_id, []).append((response.replica_id, video))
        rows = [_video_row(states) for states in seen.values()]
        return sorted(rows, key=lambda row: (-row.viewers, row.video_id))

    def replicas(self) -> list[ReplicaRow]:
        """In the order in which they were asked"""
        everywhere = {node.node_id for _, response in self.responses for node in response.nodes}
        return [
            ReplicaRow(
                replica_id=response.replica_id,
                address=address,
                uptime_ms=response.uptime_ms,
                nodes=len(response.nodes),
                videos=response.videos_total,
                viewers=sum(node.viewers for node in response.nodes),
                missing_nodes=(missing := tuple(sorted(everywhere - {node.node_id for node in response.nodes}))),
                differences=(
                    *(f"misses {node_id}" for node_id in missing),
                    *self._differences(response),
                    *self._clock_differences(response),
                ),
                unacked_events=sum(node.unacked_events for node in response.nodes),
            )
            for address, response in self.responses
        ]

    def _differences(self, response: TopologyResponse) -> list[str]:
        """Where it contradicts the others about its nodes"""
        said: dict[str, list[NodeState]] = {}
        for _, other in self.responses:
            for node in other.nodes if other is not response else ():
                said.setdefault(node.node_id, []).append(node)
        sentences = []
        for node in response.nodes:
            for what in ("state", "videos", "incarnation"):
                mine, theirs = getattr(node, what), {getattr(other, what) for other in said.get(node.node_id, ())}
                if theirs - {mine}:
                    shown = " or ".join(map(str, sorted(theirs - {mine})))
                    sentences.append(f"{node.node_id}: {what} {mine}, elsewhere {shown}")
        return sentences

    def _clock_differences(self, response: TopologyResponse) -> list[str]:
        """Whether its clock differs from most of the others. Of two, both may be wrong."""
        others = [other.now_ms for _, other in self.responses if other is not response]
        apart_ms = sorted(response.now_ms - now_ms for now_ms in others)
        off = [ms for ms in apart_ms if abs(ms) > self.took_ms + TOPOLOGY.clocks_apart_ms]
        if 2 * len(off) <= len(others):
            return []
        off_ms = off[len(off) // 2]
        others_words = "the other's" if len(others) == 1 else "the others'"
        return [f"clock {abs(off_ms)} ms {'ahead of' if off_ms > 0 else 'behind'} {others_words}"]


def survey(addresses: Sequence[str], request: TopologyRequest, timeout_ms: int, tls: Tls | None = None) -> Survey:
    """Asks all at once. Takes `timeout_ms` at most, and doesn't raise if a replica is away."""
    asked_ms = monotonic_ms()
    responses, unreachable = ask_all(
        addresses, lambda stub: stub.Topology.future(request, timeout=timeout_ms / 1000), timeout_ms, tls
    )
    return Survey(responses, unreachable, monotonic_ms() - asked_ms)


def ask_all(
    addresses: Sequence[str],
    ask: Callable[["DispatcherStub"], "grpc.Future[_Response]"],
    timeout_ms: int,
    tls: Tls | None = None,
) -> tuple[tuple[tuple[str, _Response], ...], tuple[Unreachable, ...]]:
    """The address and the response of each replica that responds, and the others. Asks all at once; `ask` sets the
    deadline."""
    channels = [blocking_channel(address, tls) for address in addresses]
    try:
        calls = [ask(DispatcherStub(channel)) for channel in channels]
        responses: list[tuple[str, _Response]] = []
        unreachable: list[Unreachable] = []
        for address, call in zip(addresses, calls, strict=True):
            try:
                responses.append((address, call.result()))
            except grpc.RpcError as error:
                unreachable.append(Unreachable(address, reason_of(error.code(), error.details(), timeout_ms)))
    finally:
        for channel in channels:
            channel.close()
    return tuple(responses), tuple(unreachable)


def plain(rows: Iterable["DataclassInstance"]) -> list[dict[str, object]]:
    """For JSON"""
    return [asdict(row) for row in rows]


def reason_of(code: grpc.StatusCode, details: str | None, timeout_ms: int) -> str:
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"no answer within {timeout_ms} ms"
    if code is grpc.StatusCode.UNAVAILABLE:
        return "nothing answers there"
    return f"{code.name}: {details or 'no details'}"


def _node_row(states: Sequence[tuple[str, NodeState]]) -> NodeRow:
    nodes = [node for _, node in states]
    youngest = max(nodes, key=lambda node: node.incarnation)
    return NodeRow(
        node_id=youngest.node_id,
        public_url=youngest.public_url,
        state="/".join(sorted({node.state for node in nodes})),
        viewers=max(node.viewers for node in nodes),
        capacity_viewers=youngest.capacity_viewers,
        videos=max(node.videos for node in nodes),
        connected_ms=min(node.connected_ms for node in nodes),
        heard_ms_ago=max(node.heard_ms_ago for node in nodes),
        outbox_events=sum(node.outbox_events for node in nodes),
        unacked_events=sum(node.unacked_events for node in nodes),
        incarnation=youngest.incarnation,
        replicas=tuple(replica_id for replica_id, _ in states),
    )


def _video_row(states: Sequence[tuple[str, VideoState]]) -> VideoRow:
    return VideoRow(
        video_id=states[0][1].video_id,
        viewers=max(video.viewers for _, video in states),
        node_ids=tuple(sorted({node_id for _, video in states for node_id in video.node_ids})),
        replicas=tuple(replica_id for replica_id, _ in states),
    )
