"""dispatcher/operators/answers.py: what a replica says when it is asked; test_servicer.py asks it over gRPC"""

import pytest

from dispatcher.core.errors import InvalidRequest, NoRoom, NotConnected
from dispatcher.operators.answers import Answers
from proto.dispatch_pb2 import Beat, DrainRequest, ExplainRequest, Load, NodeMessage, PlaceRequest, TopologyRequest
from tests.dispatcher.streams.test_replica import World


async def test_a_placement_is_counted_and_so_is_that_there_is_no_room() -> None:
    world = World()
    answers, counts = Answers(world.replica), world.replica.counts
    with pytest.raises(NoRoom):
        answers.place(PlaceRequest(video_id="a"))
    world.node("rms-1")
    assert answers.place(PlaceRequest(video_id="a")).public_url == "http://rms-1"
    with pytest.raises(NoRoom):
        answers.place(PlaceRequest(video_id="a", exclude_node_ids=["rms-1"]))
    assert (counts.placements, counts.no_room, counts.spills) == (1, 2, 0)
    with pytest.raises(InvalidRequest):
        answers.place(PlaceRequest(video_id="a video"))


async def test_a_drain_is_passed_on_to_a_node_that_is_here() -> None:
    world = World()
    link, _ = world.node("rms-1")
    Answers(world.replica).drain(DrainRequest(node_id="rms-1", draining=True, over_ms=7))
    (word,) = world.sent(link)
    assert (word.drain.draining, word.drain.over_ms) == (True, 7)
    with pytest.raises(NotConnected):
        Answers(world.replica).drain(DrainRequest(node_id="rms-2", draining=True))


async def test_one_video_is_told_with_its_nodes_or_all_nodes_with_the_most_watched_videos() -> None:
    world = World(topology_videos_max=1)
    world.node("rms-1", "a", "b")
    world.node("rms-2", "b")
    answers = Answers(world.replica)
    world.pass_ms(300)
    everything = answers.topology(TopologyRequest(videos_max=10), wall_ms=5)
    assert [node.node_id for node in everything.nodes] == ["rms-1", "rms-2"]
    assert (len(everything.videos), everything.videos_total, everything.now_ms) == (1, 2, 5)
    assert everything.uptime_ms == everything.nodes[0].heard_ms_ago == 300
    one = answers.topology(TopologyRequest(video_id="a"), wall_ms=5)
    assert ([node.node_id for node in one.nodes], [video.video_id for video in one.videos]) == (["rms-1"], ["a"])
    assert not answers.topology(TopologyRequest(video_id="nobodys"), wall_ms=5).nodes


async def test_explaining_promises_no_seat() -> None:
    world = World()
    link, _ = world.node("rms-1", "a")
    world.replica.receive(link, NodeMessage(beat=Beat(load=Load(viewers=9))))
    world.replica.open_publisher("peer")
    for _ in range(3):
        told = Answers(world.replica).explain(ExplainRequest(video_id="a"))
        assert (told.next.node_id, list(told.video.node_ids), told.publishers[0].peer) == ("rms-1", ["rms-1"], "peer")
        assert told.nodes[0].promised_viewers == 0
