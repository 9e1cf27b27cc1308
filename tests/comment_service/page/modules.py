"""Calls single modules of the page in a real browser, without a conversation or a stream."""

from typing import Any

from playwright.async_api import Page

from tests.browser_fixture import OpenPage
from tests.comment_service.page.stand_in import StandIn


async def open_modules(open_page: OpenPage, stand_in: StandIn) -> Page:
    """An empty page of the right origin, from which the modules can be imported"""
    page = await open_page(f"{stand_in.url}/page/icon.svg")
    await set_words(page)
    return page


async def set_words(page: Page) -> None:
    """So that the modules speak English, as app.js has them do"""
    await page.evaluate(
        """async () => {
            const { setWords } = await import("/page/core/words.js");
            setWords("en", await (await fetch("/page/words/en.json")).json());
        }"""
    )


async def call(page: Page, module: str, body: str, argument: object = None) -> Any:
    """Runs the function body and returns its value. In it, `it` is the module and `given` is the argument."""
    code = f"async (given) => {{ const it = await import('/page/{module}'); {body} }}"
    return await page.evaluate(code, argument)
