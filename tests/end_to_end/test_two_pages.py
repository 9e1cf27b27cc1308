"""Two people write to each other in the real page, in a real browser, while every RMS dies in turn."""

import pytest
from playwright.async_api import Page, expect

from tests.browser_fixture import OpenPage
from tests.system import System

pytestmark = pytest.mark.asyncio(loop_scope="session")

WAIT_MS = 30_000


async def live(page: Page) -> None:
    await expect(page.locator("#state")).to_have_attribute("data-state", "live", timeout=WAIT_MS)


async def say(page: Page, message: str) -> None:
    await page.locator("#message").fill(message)
    await page.locator("#send").click()
    if await page.locator("#name").is_visible():  # asked once
        await page.locator("#name").press("Enter")


async def sees(page: Page, *messages: str) -> None:
    """Each exactly once"""
    for message in messages:
        comment = page.locator("#comments article").filter(has_text=message)
        await expect(comment).to_have_count(1, timeout=WAIT_MS)


async def test_two_readers_keep_all_comments_when_every_rms_dies(open_page: OpenPage) -> None:
    async with System() as system:
        url = f"{system.base_url}/?video=demo"
        ann, bo = await open_page(url), await open_page(url)
        await live(ann)
        await live(bo)
        await ann.locator("#me").click()
        await ann.locator("#name").fill("Ann")
        await ann.locator("#name").press("Enter")
        await say(ann, "hello Bo")
        await sees(bo, "hello Bo")
        await say(bo, "<b>hello</b> Ann")
        await sees(ann, "hello Bo", "<b>hello</b> Ann")
        assert await ann.locator("#comments b").count() == 0, "markup stays text"

        for number, message in ((1, "the first one is dead"), (2, "and now the second")):
            await system.kill("rms", number)
            await say(ann, message)
            await sees(bo, message)
            await sees(ann, message)
            await live(ann)
            await live(bo)
        await sees(bo, "hello Bo", "<b>hello</b> Ann", "the first one is dead", "and now the second")

        late = await open_page(url)
        await sees(late, "hello Bo", "<b>hello</b> Ann", "the first one is dead", "and now the second")
