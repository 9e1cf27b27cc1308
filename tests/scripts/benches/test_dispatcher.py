"""scripts/bench dispatcher runs to its end on small numbers, and a broken promise is no figure."""

import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from proto.dispatch_pb2 import Deliver, DispatcherMessage
from proto.event_pb2 import Event, VideoEvents
from scripts.benches import redis_pubsub
from scripts.benches.__main__ import app
from scripts.benches.dispatcher import THROUGH, a_replica, check, some_nodes
from scripts.benches.dispatcher_nodes import Node, Taken
from scripts.benches.publishing import publish_grpc, steadily
from scripts.benches.running import BenchFailed
from scripts.benches.schedule import VIDEO, Schedule


def test_everything_once_and_small() -> None:
    arguments = ["dispatcher", "--quick", "--repeats", "1", "--only", "throughput,redis,wide,restart,registry"]
    result = CliRunner(env={"COLUMNS": "160"}).invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert ("Redis Pub/Sub to two subscribers" in result.output) != ("Redis isn't measured" in result.output)
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
        assert [each.events for each in await report()] == [10, 10, 10]
        assert [each.events for each in await report()] == [0, 0, 0]


@pytest.mark.parametrize("taken", [Taken(events=4), Taken(events=5, useless=1), Taken(events=5, doubled=1)])
def test_a_broken_promise_ends_the_bench(taken: Taken) -> None:
    check([Taken(events=5)], 5)
    with pytest.raises(BenchFailed):
        check([taken], 5)


def test_useless_and_doubled_events_are_counted() -> None:
    node = Node("a-0", "nowhere:1")
    text = Schedule(time.monotonic_ns() - 5_000_000, rate=1, count=1).line(0).text
    ours, other = (VideoEvents(video_id=video, events=[Event(id=1, data=text.encode())]) for video in (VIDEO, "x"))
    other.events[0].id = 2
    node.take(DispatcherMessage(deliver=Deliver(number=1, videos=[ours, other, ours])))
    assert (node.taken.events, node.taken.useless, node.taken.doubled) == (3, 1, 1)
    assert min(node.taken.latencies_ms) >= 5


async def test_where_redis_is_missing_the_bench_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_pubsub, "PYTHON", "/nowhere/python3")
    assert "apt-get install redis-server python3-redis python3-hiredis" in await redis_pubsub.missing()


def test_another_checkout_runs_beside(tmp_path: Path) -> None:
    """Its bench is a stand-in, which prints what a checkout's would, and how it was called."""
    bench = tmp_path / "scripts" / "bench"
    bench.parent.mkdir()
    bench.write_text(
        f'#!/bin/sh\necho "{THROUGH}  >= 100,000 comments/s 1,250 comments/s 1,250"\necho "$@" > {tmp_path}/called\n'
    )
    bench.chmod(0o755)
    arguments = ["dispatcher", "--quick", "--repeats", "1", "--only", "throughput", "--beside", str(tmp_path)]
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert f"{THROUGH}, the other checkout" in result.output
    assert "1,250 comments/s" in result.output
    assert f"{THROUGH}, to the other's" in result.output
    assert (tmp_path / "called").read_text() == "dispatcher --only throughput --repeats 1\n"
