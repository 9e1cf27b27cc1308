"""The stand-in and the browser that the page's tests share."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.browser_fixture import chromium, open_page
from tests.comment_service.page.stand_in import StandIn

__all__ = ["chromium", "open_page", "stand_in"]


@pytest_asyncio.fixture(loop_scope="session")
async def stand_in() -> AsyncIterator[StandIn]:
    service = StandIn()
    service.start()
    yield service
    await service.stop()
