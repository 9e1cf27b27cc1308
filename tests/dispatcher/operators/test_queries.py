"""dispatcher/operators/queries.py: what a replica responds, with ages in place of times; test_operators.py asks over
gRPC."""

import pytest

from dispatcher.core.errors import InvalidRequest, LimitReached, NoRoom, NotConnected
from dispatcher.core.life import State
from dispatcher.core.node import NodeView
from dispatcher.operators.queries import Queries, node_state, publisher_state
from dispatcher.streams.link import LinkStatistics
from dispatcher.streams.publisher import PublisherStatistics
from proto.dispatch_pb2 import Beat, DrainRequest, ExplainRequest, Load, NodeMessage, PlaceRequest, TopologyRequest
from tests.dispatcher.streams.test_replica import World

NOW_MS = 1_700_000_000_000
NODE = NodeView(
    session=1,
    node_id="rms-1",
    incarnation=2,
    public_url="http://rms-1",
    state=State.DRAINING,
    capacity_viewers=10,
    viewers=3,
    promised_viewers=1,
    videos=4,
    connected_ms=NOW_MS - 5000,
    heard_ms=NOW_MS - 100,
)


async def test_a_placement_is_counted_and_so_is_that_there_is_no_room() -> None:
    world = World()
    queries, counts = Queries(world.replica), world.replica.counts
    with pytest.raises(NoRoom):
        queries.place(PlaceRequest(video_id="a"))
    world.node("rms-1")
    assert queries.place(PlaceRequest(video_id="a")).public_url == "http://rms-1"
    with pytest.raises(NoRoom):
        queries.place(PlaceRequest(video_id="a", exclude_node_ids=["rms-1"]))
    assert (counts.placements, counts.no_room, counts.spills) == (1, 2, 0)
    with pytest.raises(InvalidRequest):
        queries.place(PlaceRequest(video_id="a video"))


async def test_viewers_that_ask_together_are_placed_as_if_each_asked_alone() -> None:
    together, alone = World(), World()
    for world in (together, alone):
        world.node("rms-1", capacity=3)
        world.node("rms-2", capacity=2)
    response = Queries(together.replica).place(PlaceRequest(video_id="a", viewers=7))
    asking = Queries(alone.replica)
    expected = [asking.place(PlaceRequest(video_id="a")).node_id for _ in range(5)]
    assert [run.node_id for run in response.placed for _ in range(run.viewers)] == expected
    assert (response.node_id, response.public_url) == (expected[0], f"http://{expected[0]}")
    counts = together.replica.counts
    assert (counts.placements, counts.no_room, counts.spills) == (5, 1, alone.replica.counts.spills)
    with pytest.raises(LimitReached, match="at most 64 viewers, not 65"):
        Queries(together.replica).place(PlaceRequest(video_id="a", viewers=65))


async def test_a_drain_is_passed_on_to_a_node_that_is_here() -> None:
    world = World()
    link, _ = world.node("rms-1")
    Queries(world.replica).drain(DrainRequest(node_id="rms-1", draining=True, over_ms=7))
    (message,) = world.sent(link)
    assert (message.drain.draining, message.drain.over_ms) == (True, 7)
    with pytest.raises(NotConnected):
        Queries(world.replica).drain(DrainRequest(node_id="rms-2", draining=True))


async def test_topology_has_one_video_with_its_nodes_or_all_nodes_with_the_most_watched_videos() -> None:
    world = World(topology_videos_max=1)
    world.node("rms-1", "a", "b")
    world.node("rms-2", "b")
    queries = Queries(world.replica)
    world.pass_ms(300)
    everything = queries.topology(TopologyRequest(videos_max=10), wall_ms=5)
    assert [node.node_id for node in everything.nodes] == ["rms-1", "rms-2"]
    assert (len(everything.videos), everything.videos_total, everything.now_ms) == (1, 2, 5)
    assert everything.uptime_ms == everything.nodes[0].heard_ms_ago == 300
    one = queries.topology(TopologyRequest(video_id="a"), wall_ms=5)
    assert ([node.node_id for node in one.nodes], [video.video_id for video in one.videos]) == (["rms-1"], ["a"])
    assert not queries.topology(TopologyRequest(video_id="nobodys"), wall_ms=5).nodes


async def test_explaining_promises_no_seat() -> None:
    world = World()
    link, _ = world.node("rms-1", "a")
    world.replica.receive(link, NodeMessage(beat=Beat(load=Load(viewers=9))))
    world.replica.open_publisher("peer")
    for _ in range(3):
        known = Queries(world.replica).explain(ExplainRequest(video_id="a"))
        assert (known.next.node_id, list(known.video.node_ids), known.publishers[0].peer) == (
            "rms-1",
            ["rms-1"],
            "peer",
        )
        assert known.nodes[0].promised_viewers == 0


def test_a_node_has_ages() -> None:
    state = node_state(NODE, LinkStatistics(1, 2, 3, NOW_MS - 7, NOW_MS - 9), NOW_MS)
    assert (state.state, state.connected_ms, state.heard_ms_ago) == ("draining", 5000, 100)
    assert (state.outbox_events, state.unacked_events, state.delivered_events) == (1, 2, 3)
    assert (state.acked_ms_ago, state.waiting_ms) == (7, 9)


def test_what_never_was_is_absent() -> None:
    state = node_state(NODE, LinkStatistics(0, 0, 0, None, None), NOW_MS)
    assert not state.HasField("acked_ms_ago")
    assert not state.HasField("waiting_ms")
    publisher = publisher_state(PublisherStatistics("ipv4:127.0.0.1:9", NOW_MS - 1, 0, 0, None, None), NOW_MS)
    assert (publisher.peer, publisher.connected_ms) == ("ipv4:127.0.0.1:9", 1)
    assert not publisher.HasField("batch_ms_ago")
    publisher = publisher_state(PublisherStatistics("p", NOW_MS - 9, 4, 2, NOW_MS - 3, NOW_MS - 2), NOW_MS)
    assert (publisher.batches, publisher.unanswered_batches) == (4, 2)
    assert (publisher.batch_ms_ago, publisher.answer_ms_ago) == (3, 2)
