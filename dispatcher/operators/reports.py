"""What operators are told: the registry's views and the links' statistics, as messages with ages instead of times."""

from dispatcher.core.views import NodeView, VideoView
from dispatcher.streams.link import LinkStatistics
from dispatcher.streams.publisher import PublisherStatistics
from proto.dispatch_pb2 import NodeState, PublisherState, VideoState


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
        outbox_comments=link.outbox_comments,
        unacked_comments=link.unacked_comments,
        delivered_comments=link.delivered_comments,
        acked_ms_ago=_age(link.acked_ms, now_ms),
        waiting_ms=_age(link.waiting_since_ms, now_ms),
    )


def publisher_state(publisher: PublisherStatistics, now_ms: int) -> PublisherState:
    return PublisherState(
        peer=publisher.peer,
        connected_ms=now_ms - publisher.connected_ms,
        batches=publisher.batches,
        unanswered_batches=publisher.unanswered,
        batch_ms_ago=_age(publisher.batch_ms, now_ms),
        answer_ms_ago=_age(publisher.answer_ms, now_ms),
    )


def video_state(video: VideoView) -> VideoState:
    return VideoState(video_id=video.video_id, viewers=video.viewers, node_ids=video.node_ids)


def _age(then_ms: int | None, now_ms: int) -> int | None:
    return None if then_ms is None else now_ms - then_ms
