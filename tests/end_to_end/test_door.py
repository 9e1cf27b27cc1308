"""One port for all RMS nodes of a host: a plain EventSource in a real browser survives the death of its node."""

import aiohttp
import pytest

from tests.browser_fixture import OpenPage
from tests.system import System
from tests.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

PLAIN = """url => {
    window.got = [];
    window.source = new EventSource(url);
    window.source.onmessage = event => window.got.push(JSON.parse(event.data).message);
}"""


async def test_a_plain_event_source_survives_the_death_of_its_rms(open_page: OpenPage) -> None:
    async with System(door=True) as system, aiohttp.ClientSession() as http:
        page = await open_page(f"{system.base_url}/health/live", bypass_csp=True)
        await page.evaluate(PLAIN, f"{system.base_url}/comments/demo")
        said: list[str] = []

        async def say(message: str) -> None:
            said.append(message)
            async with http.post(
                f"{system.base_url}/comment/create", json={"liveVideoId": "demo", "message": message}
            ) as response:
                assert response.status == 200

        async def has_all() -> bool:
            got: list[str] = await page.evaluate("window.got")
            return got == said

        await say("before")
        await eventually(has_all)
        for number in (1, 2):
            await system.kill("rms", number)
            await say(f"without rms-{number}")
            await system.back_again("rms", number)
            await say(f"with rms-{number} again")
            await eventually(has_all)


async def test_a_plain_event_source_survives_a_time_without_any_rms(open_page: OpenPage) -> None:
    """Any answer but 200 would end it for good."""
    soon = {"door": ("--retry-after-s", "1"), "rms": ("--retry-ms", "200")}
    async with (
        System(door=True, restart=False, more_flags=lambda role: soon.get(role, ())) as system,
        aiohttp.ClientSession(system.base_url) as http,
    ):
        page = await open_page(f"{system.base_url}/health/live", bypass_csp=True)
        await page.evaluate(PLAIN, f"{system.base_url}/comments/demo")
        await page.evaluate("window.opened = 0; window.source.onopen = () => { window.opened++; }")

        async def say(message: str) -> None:
            async with http.post("/comment/create", json={"liveVideoId": "demo", "message": message}) as response:
                assert response.status == 200

        async def is_true(condition: str) -> bool:
            return bool(await page.evaluate(condition))

        await say("before")
        await eventually(lambda: is_true("window.got.length === 1"))
        await page.evaluate("window.opened = 0")
        for number in (1, 2):
            await system.kill("rms", number)
        await say("meanwhile")
        await eventually(lambda: is_true("window.opened >= 2"), 60)  # twice told to come again
        assert await is_true("window.source.readyState !== EventSource.CLOSED")
        for number in (1, 2):
            await system.start_again("rms", number)
        await say("after")
        await eventually(lambda: is_true("window.got.join() === 'before,meanwhile,after'"), 60)
