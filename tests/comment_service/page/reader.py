"""Helpers for the page's tests: what a reader sees and does."""

from collections.abc import Sequence
from typing import Any

from playwright.async_api import Page, expect

from tests.browser_fixture import OpenPage
from tests.comment_service.page.stand_in import StandIn


async def open_live(open_page: OpenPage, stand_in: StandIn, **context: Any) -> Page:
    """A page that shows the comments of "demo", with its stream open"""
    page = await open_page(f"{stand_in.url}/?video=demo", **context)
    await expect_state(page, "live")
    return page


TALL = {"width": 500, "height": 3_000}
"""A viewport with room for more rows than a test says, so that all of them are in the document"""


async def open_with_limits(open_page: OpenPage, stand_in: StandIn, **limits: int) -> Page:
    """As `open_live`, with other numbers in limits.js, whose bounds are too large to reach in a test"""
    page = await open_page("about:blank")
    await set_limits(page, **limits)
    await page.goto(f"{stand_in.url}/?video=demo")
    await expect_state(page, "live")
    return page


async def set_limits(page: Page, **limits: int) -> None:
    """For pages that are loaded from now on"""
    numbers = "".join(f"export const {name} = {value};\n" for name, value in limits.items())

    async def serve(route: Any) -> None:
        response = await route.fetch()
        lines = (await response.text()).splitlines()
        kept = [line for line in lines if not line.startswith(tuple(f"export const {name} " for name in limits))]
        await route.fulfill(response=response, body=numbers + "\n".join(kept))

    await page.route("**/page/limits.js", serve)


async def expect_state(page: Page, state: str) -> None:
    await expect(page.locator("#state")).to_have_attribute("data-state", state)


async def expect_messages(page: Page, messages: Sequence[str]) -> None:
    """Exactly these, in this order"""
    await expect(page.locator("#comments article .message")).to_have_text(list(messages))


async def expect_newest(page: Page, message: str) -> None:
    await expect(page.locator("#comments article .message").last).to_have_text(message)


async def ids_shown(page: Page) -> list[str]:
    ids: list[str] = await page.eval_on_selector_all("article", "rows => rows.map((row) => row.dataset.id)")
    return ids


async def post(page: Page, message: str) -> None:
    """Writes it; under no name, where none was given yet."""
    await page.fill("#message", message)
    await page.press("#message", "Enter")
    if await page.locator("#name").is_visible():
        await page.press("#name", "Enter")


async def take_name(page: Page, name: str) -> None:
    await page.click("#me")
    await page.fill("#name", name)
    await page.press("#name", "Enter")


async def scroll_to(page: Page, top: int) -> None:
    """top: in pixels"""
    await page.evaluate("top => document.getElementById('scroller').scrollTop = top", top)


async def scroll_up_until(page: Page, text: str) -> None:
    """Scrolls to the top again and again until the line above the comments reads `text`."""
    await page.evaluate(
        """async (text) => {
            const scroller = document.getElementById("scroller");
            const above = document.getElementById("above");
            while (above.textContent !== text || scroller.scrollTop > 0) {
                scroller.scrollTop = 0;
                await new Promise(requestAnimationFrame);
            }
        }""",
        text,
    )


BEGINNING = "This is the beginning of the conversation."
EMPTY = "No comments yet. Be the first to write one."
