"""Speaks W3C WebDriver with WebKitWebDriver: the few commands that the tests need.

Selenium has no asyncio: a call that blocks would stop the stand-in service, which runs in the test's own loop.
"""

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp

COMMAND_S = 30


class WebDriverError(Exception):
    """The driver's answer to a command that it could not do."""


class WebDriver:
    """A session, which is one browser"""

    def __init__(self, client: aiohttp.ClientSession, url: str) -> None:
        """url: of the session"""
        self._client = client
        self._url = url

    async def get(self, command: str) -> Any:
        async with self._client.get(f"{self._url}/{command}") as response:
            return await _value_of(response)

    async def post(self, command: str, **body: Any) -> Any:
        async with self._client.post(f"{self._url}/{command}", json=body) as response:
            return await _value_of(response)


@contextlib.asynccontextmanager
async def webdriver(driver_url: str, capabilities: Mapping[str, Any]) -> AsyncIterator[WebDriver]:
    """Starts a browser, and ends it."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(COMMAND_S)) as client:
        wanted = {"capabilities": {"alwaysMatch": capabilities}}
        async with client.post(f"{driver_url}/session", json=wanted) as response:
            url = f"{driver_url}/session/{(await _value_of(response))['sessionId']}"
        yield WebDriver(client, url)
        async with client.delete(url) as response:
            await _value_of(response)


async def _value_of(response: aiohttp.ClientResponse) -> Any:
    value = (await response.json(content_type=None))["value"]
    if response.status != 200:
        raise WebDriverError(f"{value['error']}: {value['message']}")
    return value
