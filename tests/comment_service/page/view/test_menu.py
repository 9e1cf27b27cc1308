"""menu.js: the videos that were opened before"""

import pytest
from playwright.async_api import expect

from tests.browser_fixture import OpenPage
from tests.comment_service.page.reader import expect_messages, expect_state, open_live
from tests.comment_service.page.stand_in import StandIn

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_videos_that_were_opened_are_a_click_away(stand_in: StandIn, open_page: OpenPage) -> None:
    stand_in.say("about the demo")
    stand_in.record = {"id": "demo", "title": "<b>The demo</b>", "state": "live"}
    page = await open_live(open_page, stand_in)
    await expect(page.locator("#title")).to_have_text("<b>The demo</b>")
    stand_in.record = None
    await page.goto(f"{stand_in.url}/?video=other")
    await expect_state(page, "live")
    await page.click("#menu summary")
    links = page.locator("#recent a")
    await expect(links).to_have_text(["other", "<b>The demo</b>"])
    await expect(links.first).to_have_attribute("aria-current", "page")
    await links.last.click()
    await expect(page).to_have_url(f"{stand_in.url}/?video=demo")
    await expect_messages(page, ["about the demo"])
    await expect(page.locator("#choose")).to_be_hidden()
    await page.click("#menu summary")
    await expect(links).to_have_text(["<b>The demo</b>", "other"])
    await page.keyboard.press("Escape")
    await expect(page.locator("#choose")).to_be_hidden()
    await expect(page.locator("#menu summary")).to_be_focused()


async def test_what_others_have_kept_there_does_no_harm(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_live(open_page, stand_in)
    await page.evaluate("localStorage.setItem('videos', '[null, {\"id\": \"..\"}, 3]')")
    await page.reload()
    await expect_state(page, "live")
    await page.click("#menu summary")
    await expect(page.locator("#recent a")).to_have_text(["demo"])


async def test_what_stands_behind_the_hash_opens_nothing_anew(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_live(open_page, stand_in)
    before = len(stand_in.last_event_ids)
    await page.evaluate("location.hash = 'x'")
    stand_in.say("hello")
    await expect_messages(page, ["hello"])
    assert len(stand_in.last_event_ids) == before
