"""Takes the picture of each state of the page, in light and in dark, for docs/page.md: `scripts/pictures`."""

import asyncio
import contextlib
import shutil
import sys
from typing import Any

from playwright.async_api import Browser, Page, ViewportSize, async_playwright, expect

from tests.browser_fixture import ARGS, WAIT_MS
from tests.comment_service.page.stand_in import StandIn
from tests.comment_service.page.states import STATES, State
from tests.test_house import ROOT

FOLDER = ROOT / "docs" / "page"
PHONE = ViewportSize(width=390, height=700)
DESKTOP = ViewportSize(width=1000, height=640)
QUALITY = 40
"""percent: all pictures together take less than 1.5 MB, and words in them can be read"""

ON_DESKTOP = ("live", "menu", "help_open")
"""Besides their pictures on a phone"""


async def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.webp"):
        old.unlink()
    expect.set_options(timeout=WAIT_MS)
    async with async_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("google-chrome")
        browser = await playwright.chromium.launch(executable_path=path, args=list(ARGS))
        for state in STATES:
            await take(browser, state)
        await browser.close()


async def take(browser: Browser, state: State) -> None:
    service = StandIn()
    service.start()
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(service.stop)

        async def open_page(url: str, **more: Any) -> Page:
            context = await browser.new_context(viewport=PHONE, reduced_motion="reduce", **more)
            stack.push_async_callback(context.close)
            page = await context.new_page()
            await page.goto(url)
            return page

        page = await state.reach(service, open_page)
        await expect(state.seen(page)).to_be_visible()
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)
            await save(page, f"{state.name}-{scheme}")
        if state.name in ON_DESKTOP:
            await page.set_viewport_size(DESKTOP)
            await save(page, f"{state.name}-desktop")


async def save(page: Page, name: str) -> None:
    path = FOLDER / f"{name}.webp"
    await page.screenshot(path=path, type="webp", quality=QUALITY, animations="disabled", caret="hide")
    sys.stdout.write(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1024} KB\n")


if __name__ == "__main__":
    asyncio.run(main())
