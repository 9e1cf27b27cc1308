"""Chromium behind real balancers: plain EventSources in both ways, many tabs over HTTP/2 and HTTP/1.1, and a prefix."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Page, Request, expect

from tests.browser_fixture import OpenPage, visit
from tests.edge.balancers import HASH, KINDS, PLACED, WAYS, Edge
from tests.edge.behind import addresses, behind
from tests.system import System

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(240)]  # the machine may be busy

TABS = 20

PLAIN = """url => {
    window.got = [];
    window.source = new EventSource(url);
    window.source.onmessage = event => window.got.push(JSON.parse(event.data).message);
}"""

HIDE = """(() => {
    let hidden = false;
    Object.defineProperty(Document.prototype, "hidden", {get: () => hidden});
    window.hide = (value) => { hidden = value; document.dispatchEvent(new Event("visibilitychange")); };
})()"""

PROTOCOL = "performance.getEntriesByType('navigation')[0].nextHopProtocol"


async def say(system: System, message: str, video: str = "demo") -> None:
    url = f"{system.base_url}/comment/create"
    async with aiohttp.request("POST", url, json={"liveVideoId": video, "message": message}) as answer:
        assert answer.status == 200


async def have(pages: Sequence[Page], *said: str) -> None:
    """Returns when each has got all of it once, in this order."""
    for page in pages:
        await page.wait_for_function("wanted => window.got.join() === wanted", arg=",".join(said), timeout=60_000)


async def trusting(open_page: OpenPage, url: str, **context: Any) -> Page:
    """bypass_csp: the response is only the place from which a script of the test's own works, as on another site"""
    return await open_page(url, ignore_https_errors=True, **context)


async def test_plain_event_sources_survive_the_death_of_every_node(open_page: OpenPage, certificates: Path) -> None:
    """One behind each balancer, in each way"""
    async with behind() as system, AsyncExitStack() as stack:
        pages = []
        for kind in KINDS:
            for way in WAYS:
                edge = await stack.enter_async_context(Edge(kind, way, *addresses(system), certificates))
                pages.append(await trusting(open_page, f"{edge.url}/health/live", bypass_csp=True))
                assert await pages[-1].evaluate(PROTOCOL) == "h2"
                await pages[-1].evaluate(PLAIN, f"{edge.url}/comments/demo")
        said = ["before"]
        await say(system, said[-1])
        await have(pages, *said)
        for number in (1, 2, 3):
            await system.kill("rms", number)
            said.append(f"without rms-{number}")
            await say(system, said[-1])
            await system.back_again("rms", number)
            said.append(f"with rms-{number} again")
            await say(system, said[-1])
            await have(pages, *said)


async def test_twenty_tabs_over_one_connection(open_page: OpenPage, certificates: Path) -> None:
    """Each with its video, and with a plain EventSource: more than the six connections of HTTP/1.1"""
    async with behind() as system:
        for kind in KINDS:
            async with Edge(kind, HASH, *addresses(system), certificates) as edge:
                tabs = [await trusting(open_page, f"{edge.url}/health/live", bypass_csp=True)]
                for _ in range(TABS - 1):
                    tabs.append(await tabs[0].context.new_page())
                    await visit(tabs[-1], f"{edge.url}/health/live")
                for number, tab in enumerate(tabs):
                    await tab.evaluate(PLAIN, f"{edge.url}/comments/{kind}-{number}")
                for number, tab in enumerate(tabs):
                    await say(system, f"hello {number}", f"{kind}-{number}")
                    await have([tab], f"hello {number}")
                await tabs[0].context.close()


async def test_all_pages_are_live_over_one_connection(open_page: OpenPage, certificates: Path) -> None:
    """Also more than the four that share the connections of HTTP/1.1"""
    async with behind() as system, Edge("haproxy", PLACED, *addresses(system), certificates) as edge:
        tabs = [await trusting(open_page, f"{edge.url}/?video=video-0")]
        for number in range(1, 7):
            tabs.append(await tabs[0].context.new_page())
            await visit(tabs[-1], f"{edge.url}/?video=video-{number}")
        for number, tab in enumerate(tabs):
            await live(tab)
            await say(system, f"hello {number}", f"video-{number}")
            await sees(tab, f"hello {number}")


async def test_twenty_pages_over_the_six_connections_of_http_1(open_page: OpenPage, certificates: Path) -> None:
    """Whoever looks at one of them reads and writes there; the hidden ones catch up when they are looked at."""
    async with behind() as system, Edge("haproxy", HASH, *addresses(system), certificates) as edge:
        tabs = [await open_page(f"{edge.clear_url}/health/live", bypass_csp=True)]
        assert await tabs[0].evaluate(PROTOCOL) == "http/1.1"
        await tabs[0].context.add_init_script(HIDE)
        for number in range(TABS):
            tabs.append(await tabs[0].context.new_page())
            await visit(tabs[-1], f"{edge.clear_url}/?video=video-{number}")
            await live(tabs[-1])
            await write(tabs[-1], f"hello {number}")
            await sees(tabs[-1], f"hello {number}")
            await tabs[-1].evaluate("hide(true)")
        for number in (0, 7):
            await say(system, f"meanwhile {number}", f"video-{number}")
            await tabs[1 + number].evaluate("hide(false)")
            await live(tabs[1 + number])
            await sees(tabs[1 + number], f"hello {number}", f"meanwhile {number}")


async def test_the_page_below_a_prefix(open_page: OpenPage, certificates: Path) -> None:
    async with behind("/live") as system, AsyncExitStack() as stack:
        pages = []
        for kind in KINDS:
            edge = Edge(kind, PLACED, *addresses(system), certificates, "/live")
            edge = await stack.enter_async_context(edge)
            pages.append(await trusting(open_page, edge.url))
            requests = requests_of(pages[-1])
            await pages[-1].reload()
            await live(pages[-1])
            await write(pages[-1], f"by {kind}")
            await sees(pages[-1], f"by {kind}")
            assert pages[-1].url == f"{edge.url}/?video=demo"
            assert any("/live/n/rms-" in url for url in requests), requests
            assert all(url.startswith(f"{edge.url}/") for url in requests), requests
            assert await pages[-1].context.cookies() == []
        for number in (1, 2, 3):
            await system.kill("rms", number)
            await say(system, f"without rms-{number}")
            await system.back_again("rms", number)
            for page in pages:
                await sees(page, f"without rms-{number}")


def requests_of(page: Page) -> list[str]:
    """Their URLs, from now on"""
    urls: list[str] = []

    def note(request: Request) -> None:
        urls.append(request.url)

    page.on("request", note)
    return urls


async def live(page: Page) -> None:
    await expect(page.locator("#state")).to_have_attribute("data-state", "live", timeout=60_000)


async def write(page: Page, message: str) -> None:
    await page.locator("#message").fill(message)
    await page.locator("#send").click()
    if await page.locator("#name").is_visible():  # asked once
        await page.locator("#name").press("Enter")


async def sees(page: Page, *messages: str) -> None:
    """Each exactly once"""
    for message in messages:
        comment = page.locator("#comments article").filter(has_text=message)
        await expect(comment).to_have_count(1, timeout=60_000)
