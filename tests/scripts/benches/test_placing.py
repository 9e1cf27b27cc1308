"""scripts/benches/placing.py: bounded when there is no room, and stopped when a generator fails"""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.benches.config import MILLION
from scripts.benches.ours import Rms
from scripts.benches.placing import NoRoom, Placing
from scripts.benches.viewers import Generator, GeneratorFailed
from tests.waiting import eventually

SMALL = replace(MILLION, batch=10, workers=2, no_room_wait_s=0.01, no_room_tries=3)


def _is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


async def test_no_node_is_no_room() -> None:
    async with Rms(1) as server, Generator(0, server.path, 1) as generator:
        os.kill(server.viewers_pid, signal.SIGTERM)
        await eventually(lambda: _is_gone(server.viewers_pid))
        with pytest.raises(NoRoom):
            await Placing(20, [generator], SMALL).connect_all([server._dispatcher])


async def test_placing_is_bounded_in_time() -> None:
    async with Rms(1) as server, Generator(0, server.path, 1) as generator:
        settings = replace(SMALL, connect_timeout_s=0.0)
        with pytest.raises(NoRoom, match="0 viewers had come after 0 s"):
            await Placing(20, [generator], settings).connect_all([server._dispatcher])


async def test_a_generator_that_has_ended_ends_the_placing() -> None:
    async with Rms(1) as server, Generator(0, server.path, 1) as generator:
        generator._child.kill()
        with pytest.raises(GeneratorFailed):
            await Placing(20, [generator], SMALL).connect_all([server._dispatcher])


async def test_everybody_is_counted_at_a_node() -> None:
    async with Rms(1) as server, Generator(0, server.path, 1) as generator:
        placing = Placing(25, [generator], SMALL)
        await placing.connect_all([server._dispatcher])
        assert placing.viewers_by_node == {"rms-1": 25}
        assert generator.viewers == 25
