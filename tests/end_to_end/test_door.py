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
        page = await open_page(f"{system.base_url}/health/live")
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
