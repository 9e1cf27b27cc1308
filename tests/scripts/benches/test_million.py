"""A million viewers, with hundreds: two nodes fill up, and everybody gets everything. What can't be done is bounded."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.benches.config import MILLION
from scripts.benches.million import Entrance, Million
from scripts.benches.running import BenchFailed, run_bench
from scripts.benches.servers import Served, rms
from scripts.benches.viewers import Viewers
from tests.waiting import eventually

SMALL = replace(MILLION, capacity=100, batch=30, workers=2, no_room_wait_s=0.02, no_room_tries=500)
HOPELESS = replace(SMALL, batch=10, no_room_wait_s=0.01, no_room_tries=3)


def test_all_viewers_are_placed_and_get_all_comments(capsys: pytest.CaptureFixture[str]) -> None:
    million = Million(190, 2, SMALL)
    assert run_bench(million.run()) == 0
    shown = capsys.readouterr().out
    assert "viewers=190 nodes=2 deliveries=380 lost=0 doubled=0" in shown
    fewest, most = (int(count) for count in re.findall(r"viewers of a node: (\d+) to (\d+)", shown)[0])
    assert 90 <= fewest <= most <= SMALL.capacity
    starts = [line.split()[0] for line in shown.splitlines() if line]
    assert starts[starts.index("phase") + 1 :][:5] == ["start", "connect", "comment", "comment", "end"]


def test_what_does_not_fit_is_not_begun(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_bench(Million(10**12, 1).run()) == 1
    assert "would fit: --viewers" in capsys.readouterr().err


@asynccontextmanager
async def a_server() -> AsyncIterator[tuple[Served, Viewers]]:
    async with rms(1) as server, Viewers(0, server.path, 1) as viewers:
        yield server, viewers


async def test_everybody_is_counted_at_a_node_and_then_nothing_goes_on_without_it() -> None:
    async with a_server() as (server, viewers):
        entrance = Entrance(25, [viewers], HOPELESS)
        await entrance.connect_all([server.dispatcher])
        assert entrance.viewers_by_node == {"rms-1": 25}
        assert viewers.viewers == 25
        late = Entrance(20, [viewers], replace(HOPELESS, connect_timeout_s=0.0))
        with pytest.raises(BenchFailed, match="0 viewers had come after 0 s"):
            await late.connect_all([server.dispatcher])


async def test_a_process_of_viewers_that_has_ended_and_a_node_that_is_gone_end_it() -> None:
    async with a_server() as (server, viewers):
        os.kill(viewers.pid, signal.SIGKILL)
        with pytest.raises(BenchFailed, match="viewers 0 has ended"):
            await Entrance(20, [viewers], HOPELESS).connect_all([server.dispatcher])
        os.kill(server.pid, signal.SIGTERM)
        await eventually(lambda: not Path(f"/proc/{server.pid}").exists())
        with pytest.raises(BenchFailed, match="no seat"):
            async with asyncio.timeout(20):
                await Entrance(20, [viewers], HOPELESS).connect_all([server.dispatcher])
