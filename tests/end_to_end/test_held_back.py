"""A page behind a proxy that holds every stream back: it polls, and nobody notices but by the clock."""

import aiohttp
import pytest
from playwright.async_api import expect

from tests.browser_fixture import OpenPage
from tests.comment_service.page.reader import expect_messages, expect_state, post
from tests.end_to_end.holding_proxy import HoldingProxy
from tests.system import System
from tests.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_comments_arrive_once_and_posts_work(open_page: OpenPage) -> None:
    async with HoldingProxy() as front, HoldingProxy() as node:
        through = {"rms": ("--public-url", f"http://{node.address}")}
        async with (
            System(rms=1, more_flags=lambda role: through.get(role, ())) as system,
            aiohttp.ClientSession(system.base_url) as http,
        ):
            front.target = system.plan["comment-service"][0].address
            node.target = system.plan["rms"][0].address

            async def say(message: str) -> None:
                async with http.post("/comment/create", json={"liveVideoId": "demo", "message": message}) as response:
                    assert response.status == 200

            said = [f"before {number}" for number in range(3)]
            for each in said:
                await say(each)
            page = await open_page(f"http://{front.address}/?video=demo")
            await eventually(lambda: node.held == 1)  # its stream, of which nothing comes
            await expect(page.locator("#state")).to_have_attribute("data-state", "live", timeout=60_000)
            await expect_messages(page, said)
            for number in range(5):
                said += [f"mine {number}", f"theirs {number}"]
                await post(page, said[-2])
                await expect_messages(page, said[:-1])
                await say(said[-1])
                await expect_messages(page, said)
            await system.kill("rms")
            said.append("meanwhile")
            await say(said[-1])
            await system.back_again("rms")
            await expect(page.locator("#comments article .message").last).to_have_text("meanwhile", timeout=60_000)
            said.append("after")
            await say(said[-1])
            await expect(page.locator("#comments article .message").last).to_have_text("after", timeout=60_000)
            await expect_messages(page, said)
            await expect(page.locator("#viewers")).to_have_text("1 watching")
            await expect_state(page, "live")
