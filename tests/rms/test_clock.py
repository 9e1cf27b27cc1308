"""A node whose clock is off, beside a real replica: it isn't ready, says why, and keeps its viewers"""

import asyncio
import json

import pytest

from proto import clock_watch
from rms import clocks
from rms.__main__ import build
from rms.config import RmsSettings
from tests.dispatcher.peers import RunningReplica
from tests.rms.http.test_app import answer, get, viewer
from tests.waiting import eventually


async def test_a_node_whose_clock_is_off_is_not_ready_and_takes_viewers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    ahead_ms = 60_000
    monkeypatch.setattr(clock_watch, "LOOK_MS", 50)
    monkeypatch.setattr("rms.__main__.wall_ms", lambda: clocks.wall_ms() + ahead_ms)
    async with RunningReplica() as replica:
        settings = RmsSettings.model_validate(
            {"listen": "127.0.0.1:0", "store": f"sqlite:{tmp_path}/comments.db", "dispatchers": replica.listen}
        )
        node = await build(settings)
        running = asyncio.create_task(node.run())
        try:
            await eventually(lambda: node.clock.statistics().is_off)
            port, inside = (int(each.rpartition(":")[2]) for each in (node.address, node.operators.address))
            status, _, body = await answer(inside, get("/health/ready"))
            assert status == 503
            words = json.loads(body)["clock"]
            assert words.endswith(" ms ahead of the dispatchers' clocks")
            assert abs(int(words.split()[0]) - 60_000) < 5_000
            _, _, metrics = await answer(inside, get("/metrics", accept="*/*"))
            assert b"rms_clock_off 1.0" in metrics
            assert b'rms_dispatcher_clock_offset_seconds{dispatcher="1"} -' in metrics
            async with viewer(port, "/comments/v") as raw:
                assert raw.head.startswith(b"HTTP/1.1 200 ")
            ahead_ms = 0
            await eventually(lambda: not node.clock.statistics().is_off)
            status, _, body = await answer(inside, get("/health/ready"))
            assert (status, json.loads(body)["clock"]) == (200, "ok")
        finally:
            await node.stop()
            await running
