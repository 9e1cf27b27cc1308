"""scripts/benches/bare.py and bare.c"""

import time

import pytest

from scripts.benches.audience import Audience
from scripts.benches.bare import Bare
from scripts.benches.building import CannotBuild
from scripts.benches.schedule import Schedule, frame_bytes
from tests.scripts.benches.measured import assert_delivers_everything


async def test_it_delivers_everything() -> None:
    figures = await assert_delivers_everything(Bare)
    assert figures.frame_bytes == pytest.approx(frame_bytes(), abs=12)  # and a share of the response's head


async def test_who_has_gone_stops_nobody() -> None:
    async with Bare(5) as server, Audience(server.port, server.path, viewers=3, comments_max=4) as staying:
        async with Audience(server.port, server.path, viewers=2, comments_max=4) as leaving:
            await leaving.connect()
            await staying.connect()
        await server.publish(Schedule(time.monotonic_ns(), rate=100, count=4))
        assert await staying.wait_for(4, 20)


def test_without_a_compiler_it_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise CannotBuild("no compiler")

    monkeypatch.setattr("scripts.benches.bare.build", fail)
    assert Bare.prepare() == "no compiler"
