"""Streams that end by themselves: their viewers come back, and lose nothing on the way."""

import time

import aiohttp
import pytest

from scripts.audience import Audience, judge
from tests.browser_fixture import OpenPage
from tests.end_to_end.test_door import PLAIN
from tests.system import System
from tests.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

SHORT = ("--stream-age-s-max", "2", "--retry-ms", "200")


async def test_viewers_come_back_and_lose_nothing(open_page: OpenPage) -> None:
    """Clients that obey `reconnect`, and a plain EventSource that only sees its connection end"""
    short = {"rms": SHORT}
    async with (
        System(door=True, more_flags=lambda role: short.get(role, ())) as system,
        aiohttp.ClientSession(system.base_url) as http,
    ):
        page = await open_page(f"{system.base_url}/health/live", bypass_csp=True)
        await page.evaluate(PLAIN, f"{system.base_url}/comments/demo")
        await page.evaluate("window.opened = 0; window.source.onopen = () => { window.opened++; }")
        audience = Audience(f"{system.base_url}/comments/demo", 20)
        due_at_s: dict[str, float] = {}
        said: list[str] = []

        async def say() -> None:
            said.append(f"comment {len(said)}")
            async with http.post("/comment/create", json={"liveVideoId": "demo", "message": said[-1]}) as response:
                due_at_s[(await response.json())["id"]] = time.monotonic()

        async def all_have_come_back() -> bool:
            await say()
            return audience.reconnects >= 40 and bool(await page.evaluate("window.opened >= 2"))

        async with audience.watching(30):
            await eventually(lambda: page.evaluate("window.source.readyState === EventSource.OPEN"))
            await eventually(all_have_come_back)
            assert await audience.wait_for(set(due_at_s), 30)
            verdict = judge(audience.records, due_at_s)
        assert (verdict.lost, verdict.doubled) == (0, 0)
        await eventually(lambda: page.evaluate("said => window.got.length >= said.length", said))
        assert sorted(await page.evaluate("window.got")) == sorted(said)
