"""Fixtures of the page's tests: the stand-in service and the browser."""

from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.browser_fixture import chromium, open_page, steady_network
from tests.browsers.fixture import chromium_tabs, firefox, firefox_tabs, open_tab, webkit, webkit_tabs
from tests.comment_service.page.modules import set_words
from tests.comment_service.page.stand_in import StandIn

__all__ = [
    "chromium",
    "chromium_tabs",
    "firefox",
    "firefox_tabs",
    "modules",
    "open_page",
    "open_tab",
    "stand_in",
    "stand_in_below_a_prefix",
    "steady_network",
    "webkit",
    "webkit_tabs",
]


@pytest_asyncio.fixture(loop_scope="session")
async def stand_in() -> AsyncIterator[StandIn]:
    service = StandIn()
    service.start()
    yield service
    await service.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def stand_in_below_a_prefix() -> AsyncIterator[StandIn]:
    service = StandIn("/live/chat")
    service.start()
    yield service
    await service.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def modules(chromium: Browser) -> AsyncIterator[Page]:
    """For modules that have no state and call no service: one page for all tests of a file"""
    service = StandIn()
    service.start()
    page = await chromium.new_page()
    await page.goto(f"{service.url}/page/icon.svg")
    await set_words(page)
    yield page
    await page.close()
    await service.stop()
