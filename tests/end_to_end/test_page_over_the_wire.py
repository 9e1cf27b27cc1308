"""The page of the real service: what it asks for before the first comment, and what it is told of its video"""

import aiohttp
import pytest
from playwright.async_api import Page, Response, expect

from tests.browser_fixture import OpenPage
from tests.system import System

pytestmark = pytest.mark.asyncio(loop_scope="session")

REQUESTS_MAX = 8
BYTES_MAX = 40_000
COMPRESSED_FROM = 1_000
WAIT_MS = 30_000


async def test_few_requests_and_few_bytes_come_before_the_first_comment(open_page: OpenPage) -> None:
    async with System(dispatchers=1, rms=1) as system, aiohttp.ClientSession(system.base_url) as http:
        body = {"liveVideoId": "demo", "message": "hello"}
        assert (await http.post("/comment/create", json=body)).status == 200
        page = await open_page("about:blank")
        answers: list[Response] = []
        page.on("response", lambda answer: answers.append(answer))
        url = f"{system.base_url}/?video=demo"
        await page.goto(url)
        await expect(page.locator("#comments article")).to_have_count(1, timeout=WAIT_MS)
        asked = [answer.url.removeprefix(system.base_url) for answer in answers]
        assert len(asked) <= REQUESTS_MAX, asked
        files = [answer for answer in answers if answer.url.startswith(f"{system.base_url}/page/")]
        index = [answer for answer in answers if answer.url == url]
        sizes = [(await answer.request.sizes())["responseBodySize"] for answer in (*index, *files)]
        assert all(size > 0 for size in sizes)
        assert sum(sizes) <= BYTES_MAX
        for answer in files:
            headers = await answer.all_headers()
            assert headers["cache-control"].endswith("immutable"), answer.url
            if len(await answer.body()) > COMPRESSED_FROM:
                assert headers["content-encoding"] in ("br", "gzip"), answer.url


async def state(page: Page, words: str) -> None:
    await expect(page.locator("#state")).to_have_text(words, timeout=WAIT_MS)


async def test_the_page_lives_along_with_its_video(open_page: OpenPage) -> None:
    json = {"Content-Type": "application/json"}
    async with System(dispatchers=1, rms=2) as system, aiohttp.ClientSession(system.base_url) as http:
        pages = [await open_page(f"{system.base_url}/?video=talk") for _ in range(2)]
        for page in pages:
            await state(page, "Live")  # nobody has added it: nothing is known
            await expect(page.locator("#title")).to_have_text("talk")
        assert (await http.post("/videos", json={"id": "talk", "title": "A talk"})).status == 200
        for page in pages:
            await state(page, "Planned")
            await expect(page.locator("#title")).to_have_text("A talk")
        assert (await http.post("/videos/talk/start", headers=json)).status == 200
        assert (await http.patch("/videos/talk", json={"title": "The talk"})).status == 200
        for page in pages:
            await state(page, "Live")
            await expect(page.locator("#title")).to_have_text("The talk", timeout=WAIT_MS)
        assert (await http.post("/videos/talk/end", headers=json)).status == 200
        for page in pages:
            await state(page, "Ended")
            await expect(page.get_by_role("form", name="Write a comment")).to_be_hidden()
        late = await open_page(f"{system.base_url}/?video=talk")
        await state(late, "Ended")
