"""scripts/benches/dispatcher_nodes.py: what comes is counted, with how long it took."""

import time

from proto.comment_pb2 import Comment
from proto.dispatch_pb2 import Deliver, DispatcherMessage
from scripts.benches.dispatcher_nodes import Node
from scripts.benches.schedule import VIDEO


def test_useless_and_doubled_comments_are_counted() -> None:
    node = Node("a-0", "nowhere:1")
    due_ns = time.monotonic_ns() - 5_000_000
    comments = [Comment(id=number, video_id=video, created_at_ms=due_ns) for number, video in ((1, VIDEO), (2, "x"))]
    node.take(DispatcherMessage(deliver=Deliver(number=1, comments=[*comments, comments[0]])))
    assert (node.taken.comments, node.taken.useless, node.taken.doubled) == (3, 1, 1)
    assert min(node.taken.latencies_ms) >= 5
