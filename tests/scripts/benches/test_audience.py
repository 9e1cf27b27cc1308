"""scripts/benches/audience.py: viewers over several processes"""

import pytest

from scripts.benches.audience import Audience
from scripts.benches.config import BenchSettings
from scripts.benches.viewers import GeneratorFailed
from tests.scripts.benches.fake_server import FakeServer, event

SMALL = BenchSettings(viewers_per_process_max=4, connect_timeout_s=20)


async def test_many_viewers_come_in_several_processes() -> None:
    async with FakeServer([event(0), event(1)]) as server:
        audience = Audience(server.port, "/", viewers=9, idle=2, comments_max=2, settings=SMALL)
        async with audience:
            assert len(audience._generators) == 3
            assert await audience.connect() >= 0
            assert await audience.wait_for(2, 20)
            report = await audience.report(2)
    assert (report.viewers, report.idle, report.deliveries, report.lost) == (9, 2, 18, 0)
    assert len(server.requests) == 11


async def test_a_server_that_refuses_is_no_server_to_measure() -> None:
    async with (
        FakeServer([], head=b"HTTP/1.1 503 Full\r\n\r\n") as server,
        Audience(server.port, "/", viewers=3, comments_max=1, settings=SMALL) as audience,
    ):
        with pytest.raises(GeneratorFailed, match="3 of 3 viewers did not get a stream"):
            await audience.connect()
