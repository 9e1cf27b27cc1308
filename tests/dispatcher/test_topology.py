"""dispatcher/topology.py as operators and scripts run it: tables, JSON, exit codes, and a clear word."""

import asyncio
import json
import os
import sys

import pytest

from dispatcher.topology import duration
from tests.dispatcher.peers import WAIT_S, NodePeer, RunningReplica


async def topology(*arguments: str, dispatchers: str = "") -> tuple[int, str, str]:
    """Exit code, stdout and stderr"""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dispatcher.topology", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "COLUMNS": "140", "LIVECOMMENTS_DISPATCHERS": dispatchers},
    )
    async with asyncio.timeout(3 * WAIT_S):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_tables_for_a_person() -> None:
    async with RunningReplica() as server, NodePeer(server.listen) as node:
        await node.hello({"demo": 12, "other": 3}, capacity=100)
        for arguments in (["nodes"], ["videos"], ["where", "demo"], ["replicas"]):
            code, out, err = await topology(*arguments, dispatchers=server.listen)
            assert (code, err) == (0, "")
            expected = {"nodes": ("rms-1", "http://rms-1:8000", "15%", "1 of 1"), "replicas": (server.listen,)}
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
    "arguments", [["nodes", "--dispatchers", "nowhere"], ["where", "a b"], ["videos", "--top", "0"], ["what"]]
)
async def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    code, out, err = await topology(*arguments)
    assert (code, out) == (2, "")
    assert "Traceback" not in err


async def test_help_tells_the_exit_codes() -> None:
    code, out, _ = await topology("--help")
    assert code == 0
    assert "4 not found" in out


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0 ms"),
        (999, "999 ms"),
        (3200, "3.2 s"),
        (119_000, "119 s"),
        (300_000, "5 min"),
        (27_000_000, "7.5 h"),
        (10**9, "11 d"),
    ],
)
def test_durations(ms: int, text: str) -> None:
    assert duration(ms) == text
