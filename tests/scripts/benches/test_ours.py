"""scripts/benches/ours.py"""

from scripts.benches.audience import Audience
from scripts.benches.ours import Rms, RmsWithPast
from tests.scripts.benches.measured import assert_delivers_everything


async def test_it_delivers_everything() -> None:
    await assert_delivers_everything(Rms)


async def test_the_past_is_there_for_joiners() -> None:
    past = RmsWithPast.past
    assert past
    async with (
        RmsWithPast(1) as server,
        Audience(
            server.port, f"{server.path}?backfill={past.count + 1}", viewers=2, comments_max=past.count
        ) as audience,
    ):
        await audience.connect()
        assert await audience.wait_for(past.count, 20)
        report = await audience.report(past.count)
    assert (report.deliveries, report.unmarked) == (2 * past.count, 2)
