"""dispatcher/cli/survey.py: the responses of several replicas, merged, and where they disagree."""

import asyncio

import grpc

from dispatcher.cli.survey import Survey, Unreachable, survey
from proto.dispatch_pb2 import NodeState, TopologyRequest, TopologyResponse, VideoState
from tests.dispatcher.peers import NodePeer, RunningReplica


def response(
    replica_id: str, *nodes: NodeState, videos: tuple[VideoState, ...] = (), now_ms: int = 0
) -> tuple[str, TopologyResponse]:
    known = TopologyResponse(replica_id=replica_id, nodes=nodes, videos=videos, videos_total=9, now_ms=now_ms)
    return f"{replica_id}:7001", known


def test_a_node_is_shown_once_with_the_numbers_that_matter_most() -> None:
    found = Survey(
        (
            response("d1", NodeState(node_id="rms-1", incarnation=1, viewers=5, heard_ms_ago=10, unacked_events=1)),
            response("d2", NodeState(node_id="rms-1", incarnation=2, viewers=7, heard_ms_ago=900, unacked_events=2)),
        ),
        (),
    )
    (row,) = found.nodes()
    assert (row.viewers, row.heard_ms_ago, row.unacked_events, row.incarnation) == (7, 900, 3, 2)
    assert row.replicas == ("d1", "d2")


def test_a_replica_that_misses_a_node_is_named() -> None:
    found = Survey((response("d1", NodeState(node_id="rms-1"), NodeState(node_id="rms-2")), response("d2")), ())
    assert [row.missing_nodes for row in found.replicas()] == [(), ("rms-1", "rms-2")]


def test_what_replicas_disagree_on_is_said() -> None:
    found = Survey(
        (
            response("d1", NodeState(node_id="rms-1", state="live", videos=3), NodeState(node_id="rms-2")),
            response("d2", NodeState(node_id="rms-1", state="draining", videos=3)),
        ),
        (),
    )
    assert [row.differences for row in found.replicas()] == [
        ("rms-1: state live, elsewhere draining",),
        ("misses rms-2", "rms-1: state draining, elsewhere live"),
    ]


def clocks(took_ms: int, *now_ms: int) -> list[tuple[str, ...]]:
    """What is said of the replicas with these clocks"""
    found = Survey(tuple(response(f"d{number}", now_ms=each) for number, each in enumerate(now_ms)), (), took_ms)
    return [row.differences for row in found.replicas()]


def test_a_replica_whose_clock_is_off_is_named() -> None:
    assert clocks(10, 100_000, 93_000, 100_005) == [(), ("clock 7000 ms behind the others'",), ()]
    assert clocks(10, 100_000, 100_005, 107_000) == [(), (), ("clock 7000 ms ahead of the others'",)]


def test_of_two_clocks_that_differ_nobody_knows_which_is_right() -> None:
    assert clocks(10, 100_000, 107_000) == [
        ("clock 7000 ms behind the other's",),
        ("clock 7000 ms ahead of the other's",),
    ]


def test_clocks_that_were_read_at_different_moments_may_differ_by_that() -> None:
    assert clocks(10, 100_000, 101_010) == [(), ()]
    assert clocks(2_000, 100_000, 103_000) == [(), ()]
    assert clocks(0, 100_000) == [()]


def test_a_video_is_where_any_replica_says() -> None:
    found = Survey(
        (
            response("d1", videos=(VideoState(video_id="a", viewers=1, node_ids=["rms-1"]),)),
            response(
                "d2",
                videos=(
                    VideoState(video_id="a", viewers=3, node_ids=["rms-2"]),
                    VideoState(video_id="b", viewers=4, node_ids=["rms-2"]),
                ),
            ),
        ),
        (),
    )
    rows = found.videos()
    assert [(row.video_id, row.viewers, row.node_ids) for row in rows] == [
        ("b", 4, ("rms-2",)),
        ("a", 3, ("rms-1", "rms-2")),
    ]


async def test_those_that_answer_are_heard_and_those_that_do_not_are_named() -> None:
    async with RunningReplica() as server, NodePeer(server.listen) as node:
        await node.hello({"a": 1})
        with_nobody = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        port = with_nobody.add_insecure_port("127.0.0.1:0")  # taken, but nobody accepts
        addresses = [server.listen, f"127.0.0.1:{port}"]
        found = await asyncio.to_thread(survey, addresses, TopologyRequest(), 300)
        assert [row.node_id for row in found.nodes()] == ["rms-1"]
        assert [away.address for away in found.unreachable] == addresses[1:]


async def test_an_address_where_nobody_listens() -> None:
    async with RunningReplica() as server:
        address = server.listen
    found = await asyncio.to_thread(survey, [address], TopologyRequest(), 5000)
    assert found.unreachable == (Unreachable(address, "nothing answers there"),)
