"""Fixtures for tests in Chromium, Firefox and WebKitGTK. Each starts once for a process of pytest, when it is needed.

A test that takes `open_tab` runs in each of them, in the session's event loop: its module has
`pytestmark = pytest.mark.asyncio(loop_scope="session")`, and its conftest.py imports the fixtures of this file and
those of browser_fixture.py.
"""

import contextlib
import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Protocol

import aiohttp
import pytest
import pytest_asyncio

from scripts.plan import free_ports
from tests.browser_fixture import OpenPage
from tests.browsers.bidi import Bidi
from tests.browsers.processes import running, screen
from tests.browsers.tab import ChromiumTab, Firefox, FirefoxTab, Tab, WebKit, WebKitTab
from tests.browsers.webdriver import webdriver
from tests.waiting import eventually

__all__ = ["SIZES", "OpenTab", "chromium_tabs", "firefox", "firefox_tabs", "open_tab", "webkit", "webkit_tabs"]

SIZES = {"desktop": (1280, 800), "phone": (390, 844)}

MINI_BROWSER = next(Path("/usr/lib").glob("*/webkit2gtk-4.*/MiniBrowser"), Path("MiniBrowser"))

FIREFOX_SETTINGS = {
    "browser.shell.checkDefaultBrowser": "false",
    "datareporting.policy.dataSubmissionEnabled": "false",
    "app.update.auto": "false",
    "browser.startup.homepage_override.mstone": '"ignore"',
    "network.captive-portal-service.enabled": "false",
    "network.connectivity-service.enabled": "false",
}


class OpenTab(Protocol):
    def __call__(self, url: str, size: str = "desktop") -> Awaitable[Tab]:
        """Opens a tab without the memory of others. size: one of SIZES. WebKitGTK has one tab at a time."""
        ...


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def firefox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Firefox]:
    profile = tmp_path_factory.mktemp("firefox")
    lines = "".join(f'user_pref("{name}", {value});\n' for name, value in FIREFOX_SETTINGS.items())
    (profile / "user.js").write_text(lines)
    command = (
        *(_found("firefox-esr", "firefox"), "--headless", "--no-remote", "--profile", str(profile)),
        *("--remote-debugging-port=0", "--remote-allow-system-access"),  # the latter for the input method
    )
    async with running(command) as process, aiohttp.ClientSession() as client:
        address = f"ws://127.0.0.1:{await _port_of(profile)}/session"
        async with client.ws_connect(address, max_msg_size=0) as socket:
            bidi = Bidi(socket)
            await bidi.send("session.new", capabilities={})
            await bidi.send("session.subscribe", events=["log.entryAdded"])
            (window,) = (await bidi.send("browsingContext.getTree", **{"moz:scope": "chrome"}))["contexts"]
            yield Firefox(process.pid, bidi, window["context"])


async def _port_of(profile: Path) -> int:
    written = profile / "WebDriverBiDiServer.json"
    await eventually(lambda: written.exists() and written.stat().st_size > 0)
    port: int = json.loads(written.read_bytes())["ws_port"]
    return port


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def webkit() -> AsyncIterator[WebKit]:
    """A driver that starts WebKitGTK's MiniBrowser, on a screen of its own"""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    async with screen() as display, aiohttp.ClientSession() as client:
        # Compositing is for graphics cards. Without one it takes twice as long.
        settings = (f"DISPLAY={display}", "WEBKIT_DISABLE_COMPOSITING_MODE=1")
        async with running(("env", *settings, _found("WebKitWebDriver"), f"--port={port}")) as driver:
            await eventually(lambda: _answers(client, f"{url}/status"))
            yield WebKit(driver.pid, url)


async def _answers(client: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with client.get(url) as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


@pytest_asyncio.fixture(loop_scope="session")
async def chromium_tabs(open_page: OpenPage) -> OpenTab:
    async def new_tab() -> Tab:
        return ChromiumTab(await open_page("about:blank"))

    return _opener(new_tab)


@pytest_asyncio.fixture(loop_scope="session")
async def firefox_tabs(firefox: Firefox) -> AsyncIterator[OpenTab]:
    bidi = firefox.bidi
    users: list[str] = []  # whose tabs know nothing of each other

    async def new_tab() -> Tab:
        users.append((await bidi.send("browser.createUserContext"))["userContext"])
        tab = await bidi.send("browsingContext.create", type="tab", userContext=users[-1])
        return FirefoxTab(firefox, tab["context"])

    yield _opener(new_tab)
    for user in users:
        await bidi.send("browser.removeUserContext", userContext=user)
    complaints, bidi.complaints = bidi.complaints, []
    assert not complaints


@pytest_asyncio.fixture(loop_scope="session")
async def webkit_tabs(webkit: WebKit) -> AsyncIterator[OpenTab]:
    # In full screen it has no bar. Without a window manager that changes nothing else.
    options = {"binary": str(MINI_BROWSER), "args": ["--automation", "--full-screen"]}
    async with contextlib.AsyncExitStack() as stack:

        async def new_tab() -> Tab:
            driver = await stack.enter_async_context(webdriver(webkit.url, {"webkitgtk:browserOptions": options}))
            return WebKitTab(webkit, driver)

        yield _opener(new_tab)


@pytest.fixture(params=["chromium", "firefox", "webkit"])
def open_tab(request: pytest.FixtureRequest) -> OpenTab:
    """The test runs in each. It fails if a script of the page throws or violates the policy (not seen in WebKitGTK)."""
    opener: OpenTab = request.getfixturevalue(f"{request.param}_tabs")
    return opener


def _opener(new_tab: Callable[[], Awaitable[Tab]]) -> OpenTab:
    async def open_one(url: str, size: str = "desktop") -> Tab:
        tab = await new_tab()
        await tab.resize(*SIZES[size])
        await tab.open(url)
        return tab

    return open_one


def _found(*names: str) -> str:
    for name in names:
        if path := shutil.which(name):
            return path
    pytest.fail(f"no {names[0]} in PATH: scripts/test installs it")
