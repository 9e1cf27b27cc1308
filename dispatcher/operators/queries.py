"""Answers what viewers and operators ask a replica: place, drain, topology, explain. Nothing in here waits."""

import itertools

from dispatcher import checks
from dispatcher.core.errors import NoRoom, NotConnected
from dispatcher.core.interests import VideoView
from dispatcher.core.node import NodeView
from dispatcher.streams.link import LinkStatistics
from dispatcher.streams.publisher import PublisherStatistics
from dispatcher.streams.replica import Replica
from dispatcher.streams.watchers import Kind
from proto.dispatch_pb2 import (
    DispatcherMessage,
    Drain,
    DrainRequest,
    DrainResponse,
    ExplainRequest,
    ExplainResponse,
    NodeState,
    PlaceRequest,
    PlaceResponse,
    PublisherState,
    TopologyRequest,
    TopologyResponse,
    VideoState,
)


class Queries:
    """A method for each unary call of proto/dispatch.proto. Responses have ages instead of times."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._registry = replica.registry
        self._config = replica.config

    def place(self, request: PlaceRequest) -> PlaceResponse:
        """Each viewer is placed as if it asked alone. Raises InvalidRequest, LimitReached or NoRoom."""
        checks.check_place(request, self._config)
        excluded = frozenset(request.exclude_node_ids)
        nodes: list[NodeView] = []
        for _ in range(request.viewers or 1):
            node = self._place(request.video_id, excluded)
            if node is None:
                break
            nodes.append(node)
        if not nodes:
            raise NoRoom(request.video_id)
        response = _place_response(nodes[0])
        if request.viewers > 1:
            for (node_id, url), run in itertools.groupby(nodes, key=lambda node: (node.node_id, node.public_url)):
                response.placed.add(node_id=node_id, public_url=url, viewers=sum(1 for _ in run))
        return response

    def _place(self, video_id: str, excluded: frozenset[str]) -> NodeView | None:
        placed = self._registry.place(video_id, excluded)
        counts = self._replica.counts
        if placed is None:
            counts.no_room += 1
            return None
        counts.placements += 1
        if placed.spilled:
            counts.spills += 1
            self._replica.announce(Kind.SPILL, placed.node.node_id, video_id=video_id)
        return placed.node

    def drain(self, request: DrainRequest) -> DrainResponse:
        """Queues the request for the node, whose next beat confirms it. Raises InvalidRequest, LimitReached or
        NotConnected."""
        checks.check_drain(request, self._config)
        session = self._registry.session(request.node_id)
        if session is None:
            raise NotConnected(request.node_id)
        drain = Drain(draining=request.draining, over_ms=request.over_ms)
        self._replica.links[session].send_nowait(DispatcherMessage(drain=drain))
        return DrainResponse()

    def topology(self, request: TopologyRequest, wall_ms: int) -> TopologyResponse:
        """What this replica knows. With `video_id`, only that video and the nodes that serve it."""
        now_ms = self._replica.now_ms()
        interests = self._registry.interests
        nodes = self._registry.nodes()
        videos: tuple[VideoView, ...]
        if request.video_id:
            video = interests.video(request.video_id)
            videos = () if video is None else (video,)
            nodes = self._serving(video)
        else:
            videos = interests.most_watched(min(request.videos_max, self._config.topology_videos_max))
        return TopologyResponse(
            replica_id=self._replica.replica_id,
            now_ms=wall_ms,
            uptime_ms=now_ms - self._replica.started_ms,
            nodes=self._states(nodes, now_ms),
            videos=[_video_state(video) for video in videos],
            videos_total=interests.videos,
        )

    def explain(self, request: ExplainRequest) -> ExplainResponse:
        """Raises InvalidRequest."""
        checks.check_name(request.video_id, "video id", self._config)
        now_ms = self._replica.now_ms()
        video = self._registry.interests.video(request.video_id)
        following = self._registry.would_place(request.video_id)
        return ExplainResponse(
            replica_id=self._replica.replica_id,
            uptime_ms=now_ms - self._replica.started_ms,
            video=None if video is None else _video_state(video),
            nodes=self._states(self._serving(video), now_ms),
            publishers=[publisher_state(each.statistics(), now_ms) for each in self._replica.publishers],
            next=None if following is None else _place_response(following),
        )

    def _serving(self, video: VideoView | None) -> tuple[NodeView, ...]:
        node_ids = frozenset(video.node_ids) if video else frozenset()
        return tuple(node for node in self._registry.nodes() if node.node_id in node_ids)

    def _states(self, nodes: tuple[NodeView, ...], now_ms: int) -> list[NodeState]:
        links = self._replica.links
        return [node_state(node, links[node.session].statistics(), now_ms) for node in nodes]


def node_state(node: NodeView, link: LinkStatistics, now_ms: int) -> NodeState:
    return NodeState(
        node_id=node.node_id,
        incarnation=node.incarnation,
        public_url=node.public_url,
        state=node.state.value,
        capacity_viewers=node.capacity_viewers,
        viewers=node.viewers,
        promised_viewers=node.promised_viewers,
        videos=node.videos,
        connected_ms=now_ms - node.connected_ms,
        heard_ms_ago=now_ms - node.heard_ms,
        outbox_events=link.outbox_events,
        unacked_events=link.unacked_events,
        delivered_events=link.delivered_events,
        acked_ms_ago=_age_ms(link.acked_ms, now_ms),
        waiting_ms=_age_ms(link.waiting_since_ms, now_ms),
    )


def publisher_state(publisher: PublisherStatistics, now_ms: int) -> PublisherState:
    return PublisherState(
        peer=publisher.peer,
        connected_ms=now_ms - publisher.connected_ms,
        batches=publisher.batches,
        unanswered_batches=publisher.unanswered,
        batch_ms_ago=_age_ms(publisher.batch_ms, now_ms),
        answer_ms_ago=_age_ms(publisher.answer_ms, now_ms),
    )


def _video_state(video: VideoView) -> VideoState:
    return VideoState(video_id=video.video_id, viewers=video.viewers, node_ids=video.node_ids)


def _place_response(node: NodeView) -> PlaceResponse:
    return PlaceResponse(node_id=node.node_id, public_url=node.public_url)


def _age_ms(then_ms: int | None, now_ms: int) -> int | None:
    return None if then_ms is None else now_ms - then_ms
