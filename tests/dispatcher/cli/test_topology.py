"""dispatcher/cli/topology.py as operators and scripts run it: tables, JSON, exit codes, and clear sentences."""

import asyncio
import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping

import pytest
import structlog
from typer.testing import CliRunner

from dispatcher.cli.topology import app
from dispatcher.core.life import State
from proto.dispatch_pb2 import Beat, DispatcherMessage, Load
from tests.dispatcher.peers import NodePeer, PublisherPeer, RunningReplica, comment
from tests.waiting import eventually


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """The replicas of this process must not write into the stdout that is looked at."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    yield
    structlog.reset_defaults()


DRAINED = (0, "rms-1 drains; it has 0 viewers\n", "")


async def topology(*arguments: str, dispatchers: str = "") -> tuple[int, str, str]:
    """Exit code, stdout and stderr"""
    environment = {"COLUMNS": "200", "LIVECOMMENTS_DISPATCHERS": dispatchers}
    run = CliRunner(env=environment)
    result = await asyncio.to_thread(lambda: run.invoke(app, arguments))
    return result.exit_code, result.stdout, result.stderr


async def topology_process(
    *arguments: str, dispatchers: str = "", environment: Mapping[str, str] | None = None
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dispatcher.cli.topology", *arguments),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "LIVECOMMENTS_DISPATCHERS": dispatchers, **(environment or {})},
    )


async def test_tables_for_a_person() -> None:
    async with RunningReplica() as server, NodePeer(server.listen) as node:
        await node.hello({"demo": 12, "other": 3}, capacity=100)
        for arguments in (["nodes"], ["videos"], ["where", "demo"], ["replicas"]):
            code, out, err = await topology(*arguments, dispatchers=server.listen)
            assert (code, err) == (0, "")
            expected = {"nodes": ("rms-1", "rms-1:8000", "15%", "1/1"), "replicas": (server.listen,)}
            for words in expected.get(arguments[0], ("demo", "12", "rms-1")):
                assert words in out


async def test_json_for_a_program() -> None:
    async with RunningReplica() as server, NodePeer(server.listen) as node:
        await node.hello({"demo": 12, "other": 3}, capacity=100)
        code, out, _ = await topology("--json", "--dispatchers", server.listen, "nodes")
        assert code == 0
        assert json.loads(out)["nodes"][0]["capacity_viewers"] == 100
        _, out, _ = await topology("videos", "--top", "1", "--json", "--dispatchers", server.listen)
        videos = json.loads(out)
        assert [video["video_id"] for video in videos["videos"]] == ["demo"]
        assert videos["videos_total"] == 2
        _, out, _ = await topology("where", "other", "--json", dispatchers=server.listen)
        assert json.loads(out)["video"]["node_ids"] == ["rms-1"]


async def test_a_video_that_nobody_serves_is_exit_code_4() -> None:
    async with RunningReplica() as server:
        code, out, err = await topology("where", "demo", dispatchers=server.listen)
        assert (code, out) == (4, "")
        assert "no node serves demo" in err


async def test_a_replica_that_is_away_is_exit_code_3_and_the_others_are_shown() -> None:
    async with RunningReplica() as gone:
        away = gone.listen
    async with RunningReplica() as server, NodePeer(server.listen) as node:
        await node.hello()
        code, out, err = await topology("nodes", "--dispatchers", f"{server.listen},{away}")
        assert code == 3
        assert "rms-1" in out
        assert err == f"replica {away}: nothing answers there\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nodes", "--dispatchers", "nowhere"],
        ["where", "a b"],
        ["videos", "--top", "0"],
        ["what"],
        ["drain", "rms-1", "--over", "1 day"],
    ],
)
async def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    code, out, err = await topology(*arguments)
    assert (code, out) == (2, "")
    assert "Traceback" not in err


async def test_help_tells_the_exit_codes() -> None:
    code, out, _ = await topology("--help")
    assert code == 0
    assert "4 not found" in out


async def beating(node: NodePeer, stop: asyncio.Event) -> None:
    """Drains as requested, as an RMS does: its beats confirm it."""
    draining = False
    while not stop.is_set():
        await node.say(beat=Beat(load=Load(viewers=0 if draining else 5), draining=draining))
        message = await node.call.read()
        assert isinstance(message, DispatcherMessage)
        if message.HasField("drain"):
            draining = message.drain.draining


async def test_a_node_is_drained_and_taken_back() -> None:
    async with RunningReplica() as one, RunningReplica() as two, NodePeer(one.listen) as node:
        both = f"{two.listen},{one.listen}"
        await node.hello({"demo": 5})
        stop = asyncio.Event()
        rms = asyncio.create_task(beating(node, stop))
        assert (
            await topology("drain", "rms-1", "--over", "5s", "--wait", "--timeout-ms", "10000", dispatchers=both)
            == DRAINED
        )
        assert one.replica.registry.nodes()[0].state is State.DRAINING
        code, out, _ = await topology("undrain", "rms-1", "--json", "--timeout-ms", "10000", dispatchers=both)
        assert code == 0
        assert json.loads(out) == {"known": True, "agreed": True, "viewers": 5, "unreachable": []}
        stop.set()
        await rms
        code, out, _ = await topology("drain", "rms-9", dispatchers=both)
        assert (code, out) == (4, "rms-9 is connected to no replica that answers\n")


async def test_a_node_that_does_not_answer_is_exit_code_5() -> None:
    async with RunningReplica() as server, NodePeer(server.listen) as node:
        await node.hello()
        code, out, _ = await topology("drain", "rms-1", "--timeout-ms", "1000", dispatchers=server.listen)
        assert (code, "hasn't confirmed it yet" in out) == (5, True)


async def test_explain_tells_every_hop_and_ends_as_the_verdict_says() -> None:
    async with RunningReplica() as server, NodePeer(server.listen) as node, PublisherPeer(server.listen) as publisher:
        code, out, _ = await topology("explain", "demo", dispatchers=server.listen)
        assert (code, "nobody watches demo" in out) == (4, True)
        await node.hello({"demo": 5})
        await publisher.publishes(1, comment(1, "demo"))
        await node.acknowledges(await node.receives(1))
        await publisher.is_answered()
        _, out, _ = await topology("explain", "demo", dispatchers=server.listen)
        for words in ("a new viewer" if "no room" in out else "the next viewer", "rms-1", "publisher", "last ack"):
            assert words in out
        _, out, _ = await topology("explain", "demo", "--json", dispatchers=server.listen)
        assert [hop["hop"] for hop in json.loads(out)["hops"]] == ["publisher", "node"]


async def test_watch_shows_it_again_and_again() -> None:
    async with RunningReplica() as server, NodePeer(server.listen) as node:
        await node.hello({"demo": 5})
        often = ("--count", "2", "--every-s", "0.1")
        code, out, _ = await topology("watch", *often, dispatchers=server.listen)
        assert (code, "rms-1" in out, "demo" in out) == (0, True, True)
        _, out, _ = await topology("watch", "--json", *often, dispatchers=server.listen)
        assert [json.loads(line)["nodes"][0]["node_id"] for line in out.splitlines()] == ["rms-1", "rms-1"]


async def test_tail_follows_all_replicas() -> None:
    async with RunningReplica() as gone:
        away = gone.listen
    async with RunningReplica() as server:
        tail = await topology_process("tail", "--count", "3", "--json", dispatchers=f"{server.listen},{away}")
        await eventually(lambda: len(server.replica.watchers) > 0, timeout_s=60)
        async with NodePeer(server.listen) as node:
            await node.hello()
            out, _ = await tail.communicate()
        events = [json.loads(line) for line in out.splitlines()]
        assert {(event["kind"], event["replica"]) for event in events} == {
            ("followed", server.listen),
            ("unreachable", away),
            ("node_connected", server.listen),
        }


async def test_replicas_are_shown_with_what_they_disagree_on() -> None:
    async with RunningReplica() as one, RunningReplica() as two, NodePeer(one.listen) as node:
        await node.hello()
        _, out, _ = await topology("replicas", dispatchers=f"{one.listen},{two.listen}")
        assert "misses rms-1" in out


async def test_the_shell_completes_commands() -> None:
    asked = {"_TOPOLOGY_COMPLETE": "complete_bash", "COMP_WORDS": "topology expl", "COMP_CWORD": "1"}
    process = await topology_process(environment=asked)
    out, _ = await process.communicate()
    assert out == b"explain\n"
