"""What is asked of a replica on behalf of viewers and operators: one question, one answer. Nothing in here waits."""

from dispatcher import checks
from dispatcher.core.errors import NoRoom, NotConnected
from dispatcher.core.views import NodeView, VideoView
from dispatcher.operators import reports
from dispatcher.streams.replica import Replica
from dispatcher.streams.watchers import Kind
from proto.dispatch_pb2 import (
    DispatcherMessage,
    Drain,
    DrainRequest,
    ExplainRequest,
    ExplainResponse,
    NodeState,
    PlaceRequest,
    PlaceResponse,
    TopologyRequest,
    TopologyResponse,
)


class Answers:
    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._registry = replica.registry
        self._config = replica.config

    def place(self, request: PlaceRequest) -> PlaceResponse:
        """Raises InvalidRequest, LimitReached or NoRoom."""
        checks.check_place(request, self._config)
        placed = self._registry.place(request.video_id, frozenset(request.exclude_node_ids))
        counts = self._replica.counts
        if placed is None:
            counts.no_room += 1
            raise NoRoom(request.video_id)
        counts.placements += 1
        if placed.spilled:
            counts.spills += 1
            self._replica.announce(Kind.SPILL, placed.node.node_id, video_id=request.video_id)
        return _place(placed.node)

    def drain(self, request: DrainRequest) -> None:
        """Passes the word on; the node's next beat says what it has made of it. Raises InvalidRequest, LimitReached or
        NotConnected."""
        checks.check_drain(request, self._config)
        session = self._registry.session(request.node_id)
        if session is None:
            raise NotConnected(request.node_id)
        word = Drain(draining=request.draining, over_ms=request.over_ms)
        self._replica.links[session].send_nowait(DispatcherMessage(drain=word))

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
            videos=[reports.video_state(video) for video in videos],
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
            video=None if video is None else reports.video_state(video),
            nodes=self._states(self._serving(video), now_ms),
            publishers=[reports.publisher_state(each.statistics(), now_ms) for each in self._replica.publishers],
            next=None if following is None else _place(following),
        )

    def _serving(self, video: VideoView | None) -> tuple[NodeView, ...]:
        node_ids = frozenset(video.node_ids) if video else frozenset()
        return tuple(node for node in self._registry.nodes() if node.node_id in node_ids)

    def _states(self, nodes: tuple[NodeView, ...], now_ms: int) -> list[NodeState]:
        links = self._replica.links
        return [reports.node_state(node, links[node.session].statistics(), now_ms) for node in nodes]


def _place(node: NodeView) -> PlaceResponse:
    return PlaceResponse(node_id=node.node_id, public_url=node.public_url)
