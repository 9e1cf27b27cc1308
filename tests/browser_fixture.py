"""Fixtures for tests in a real Chromium: one process for the whole session, and a new profile for every page.

The fixtures live in the session's event loop. A test module that uses them has
`pytestmark = pytest.mark.asyncio(loop_scope="session")`, and its conftest.py imports the three names from here.
"""

import shutil
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import Any, Protocol

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Error, Page, async_playwright, expect

from tests.network_lock import network_stays

ARGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-quic"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)

WAIT_MS = 15_000
"""Bound of every wait: generous, because the machine may be busy"""


class OpenPage(Protocol):
    def __call__(self, url: str, **context: Any) -> Awaitable[Page]:
        """Opens a page in a new profile. context: arguments of Playwright's new_context, as viewport."""
        ...


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.fail("no chromium in PATH: scripts/test installs it, or apt-get install chromium")
    expect.set_options(timeout=WAIT_MS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(ARGS))
        yield browser
        await browser.close()


async def visit(page: Page, url: str) -> None:
    """Loads it; again, where Chromium gives up because some interface of the machine has come or gone meanwhile."""
    try:
        await page.goto(url)
    except Error as error:
        if "ERR_NETWORK_CHANGED" not in str(error):
            raise
        await page.goto(url)


@pytest.fixture
def steady_network() -> Iterator[None]:
    with network_stays():
        yield


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(chromium: Browser, steady_network: None) -> AsyncIterator[OpenPage]:
    """Opens pages. The test fails if one of their scripts throws or violates the Content-Security-Policy."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            complaints.append(message.text)

    async def open_one(url: str, **context: Any) -> Page:
        contexts.append(await chromium.new_context(**context))
        page = await contexts[-1].new_page()
        page.set_default_timeout(WAIT_MS)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", listen)
        await visit(page, url)
        return page

    yield open_one
    for context in contexts:
        await context.close()
    assert not complaints
