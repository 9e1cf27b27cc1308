"""Explains whether a viewer of a video would get a comment now: every hop at every replica, and a verdict.

A comment may come through any of the replicas, so a viewer is sure to get it only if all of them would deliver it. A
node that isn't connected to one of them reads from history what went through that one: nothing is lost, but delayed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dispatcher.config import TOPOLOGY
from proto.dispatch_pb2 import ExplainResponse


@dataclass(frozen=True, slots=True)
class HopRow:
    replica_id: str
    hop: Literal["publisher", "node"]  # publisher -> replica, or replica -> node
    who: str
    state: str
    connected_ms: int
    heard_ms_ago: int | None
    acked_ms_ago: int | None  # a node: its last acknowledgement; a publisher: the last answer to it
    waiting_ms: int | None  # how long a node's oldest unacknowledged delivery has waited
    unacknowledged: int  # a node: comments; a publisher: batches
    viewers: int | None


@dataclass(frozen=True, slots=True)
class Explanation:
    served: bool
    arrives: bool  # at all viewers, at once
    findings: tuple[str, ...]  # sentences; the first is the verdict
    hops: tuple[HopRow, ...]


def explain(video_id: str, responses: Sequence[ExplainResponse], unreachable: Sequence[str]) -> Explanation:
    """`responses`: of all replicas that could be reached. `unreachable`: the addresses of the others."""
    served = any(response.nodes for response in responses)
    troubles = [*_publisher_troubles(responses), *_node_troubles(responses)]
    troubles += [f"{address} can't be reached: what goes through it is unknown" for address in unreachable]
    arrives = served and not troubles
    return Explanation(
        served=served,
        arrives=arrives,
        findings=(_verdict(video_id, served, arrives), *troubles, *_next(responses)),
        hops=tuple(hop for response in responses for hop in _hops(response)),
    )


def _verdict(video_id: str, served: bool, arrives: bool) -> str:
    if not served:
        return f"nobody watches {video_id}: a comment is acknowledged at once and pushed to no node"
    if arrives:
        return f"yes: each viewer of {video_id} would get a comment now"
    return f"not surely: a comment of {video_id} may be delayed for some viewers"


def _publisher_troubles(responses: Sequence[ExplainResponse]) -> list[str]:
    if responses and not any(response.publishers for response in responses):
        return ["no comment_service is connected to any replica: comments are kept, but not published"]
    overdue_ms = TOPOLOGY.overdue_ms
    return [
        f"{response.replica_id}: {publisher.unanswered_batches} batches of {publisher.peer} wait for their answer, "
        f"the last one for {publisher.batch_ms_ago} ms"
        for response in responses
        for publisher in response.publishers
        if publisher.unanswered_batches and publisher.batch_ms_ago > overdue_ms
    ]


def _node_troubles(responses: Sequence[ExplainResponse]) -> list[str]:
    everywhere = {node.node_id for response in responses for node in response.nodes}
    troubles = []
    for response in responses:
        at = response.replica_id
        troubles += [
            f"{at} doesn't route to {node_id}: it reads from history what goes through {at}"
            for node_id in sorted(everywhere - {node.node_id for node in response.nodes})
        ]
        for node in response.nodes:
            if node.heard_ms_ago > TOPOLOGY.overdue_ms:
                troubles.append(f"{at} has heard nothing from {node.node_id} for {node.heard_ms_ago} ms")
            if node.waiting_ms > TOPOLOGY.overdue_ms:
                troubles.append(f"{node.node_id} owes {at} an acknowledgement for {node.waiting_ms} ms")
    return troubles


def _next(responses: Sequence[ExplainResponse]) -> list[str]:
    choices = {response.next.node_id if response.HasField("next") else "" for response in responses}
    if choices == {""}:
        return ["a new viewer finds no room on any node"]
    if "" in choices:
        return ["some replicas have no node with room for a new viewer"]
    return [f"the next viewer goes to {' or '.join(sorted(choices))}"] if choices else []


def _hops(response: ExplainResponse) -> list[HopRow]:
    hops = [
        HopRow(
            replica_id=response.replica_id,
            hop="publisher",
            who=publisher.peer,
            state="connected",
            connected_ms=publisher.connected_ms,
            heard_ms_ago=publisher.batch_ms_ago if publisher.HasField("batch_ms_ago") else None,
            acked_ms_ago=publisher.answer_ms_ago if publisher.HasField("answer_ms_ago") else None,
            waiting_ms=publisher.batch_ms_ago if publisher.unanswered_batches else None,
            unacknowledged=publisher.unanswered_batches,
            viewers=None,
        )
        for publisher in response.publishers
    ]
    hops += [
        HopRow(
            replica_id=response.replica_id,
            hop="node",
            who=node.node_id,
            state=node.state,
            connected_ms=node.connected_ms,
            heard_ms_ago=node.heard_ms_ago,
            acked_ms_ago=node.acked_ms_ago if node.HasField("acked_ms_ago") else None,
            waiting_ms=node.waiting_ms if node.HasField("waiting_ms") else None,
            unacknowledged=node.outbox_events + node.unacked_events,
            viewers=node.viewers,
        )
        for node in response.nodes
    ]
    return hops
