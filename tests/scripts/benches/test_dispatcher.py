"""scripts/bench dispatcher runs to its end on small numbers, and a broken promise is no figure."""

import time

import pytest
from proto.comment_pb2 import Comment
from typer.testing import CliRunner

from proto.dispatch_pb2 import Deliver, DispatcherMessage
from scripts.benches.__main__ import app
from scripts.benches.dispatcher import a_replica, check, some_nodes
from scripts.benches.dispatcher_nodes import Node, Taken
from scripts.benches.publishing import publish_grpc, steadily
from scripts.benches.running import BenchFailed
from scripts.benches.schedule import VIDEO, Schedule


def test_everything_once_and_small() -> None:
    arguments = ["dispatcher", "--quick", "--repeats", "1", "--only", "throughput,wide,restart,registry"]
    result = CliRunner(env={"COLUMNS": "160"}).invoke(app, arguments)
    assert result.exit_code == 0, result.output
    for words in ("acknowledged", "are back", "place, giant", "lost=0 doubled=0 useless=0", "comments/s"):
        assert words in result.output


def test_a_part_alone() -> None:
    result = CliRunner(env={"COLUMNS": "160"}).invoke(app, ["dispatcher", "--quick", "--only", "placement"])
    assert result.exit_code == 0, result.output
    assert "consistent hashing" in result.output
    assert "round robin" in result.output
    assert "acknowledged" not in result.output
    assert CliRunner().invoke(app, ["dispatcher", "--only", "speed"]).exit_code == 2


async def test_what_is_published_comes_to_every_node_once() -> None:
    async with a_replica() as (address, _), some_nodes(address, 3) as report:
        assert await publish_grpc(address, steadily(Schedule(time.monotonic_ns(), rate=100, count=10))) == 10
        assert [each.comments for each in await report()] == [10, 10, 10]
        assert [each.comments for each in await report()] == [0, 0, 0]


@pytest.mark.parametrize("taken", [Taken(comments=4), Taken(comments=5, useless=1), Taken(comments=5, doubled=1)])
def test_a_broken_promise_ends_the_bench(taken: Taken) -> None:
    check([Taken(comments=5)], 5)
    with pytest.raises(BenchFailed):
        check([taken], 5)


def test_useless_and_doubled_comments_are_counted() -> None:
    node = Node("a-0", "nowhere:1")
    text = Schedule(time.monotonic_ns() - 5_000_000, rate=1, count=1).line(0).text
    comments = [Comment(id=number, video_id=video, message=text) for number, video in ((1, VIDEO), (2, "x"))]
    node.take(DispatcherMessage(deliver=Deliver(number=1, comments=[*comments, comments[0]])))
    assert (node.taken.comments, node.taken.useless, node.taken.doubled) == (3, 1, 1)
    assert min(node.taken.latencies_ms) >= 5
