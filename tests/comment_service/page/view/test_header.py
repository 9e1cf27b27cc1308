"""header.js and countdown.js: the state of the connection, the reason, and the seconds until the next try."""

import re
import time
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser_fixture import OpenPage
from tests.comment_service.page.modules import call
from tests.comment_service.page.reader import expect_state, open_live
from tests.comment_service.page.stand_in import StandIn

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def show(page: Page, *states: dict[str, Any]) -> None:
    code = "const header = new it.Header(); for (const one of given) header.show(one);"
    await call(page, "view/header.js", code, [{"reason": "", "delayMs": 0, **state} for state in states])


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ({"state": "connecting"}, "Connecting"),
        ({"state": "live"}, "Live"),
        ({"state": "reconnecting", "delayMs": 300}, "Reconnecting"),
        ({"state": "reconnecting", "delayMs": 90_000}, "Reconnecting in 90 s"),
        ({"state": "down", "reason": "No server answers.", "delayMs": 90_000}, "No server, retry in 90 s"),
    ],
)
async def test_each_state_has_its_words(
    stand_in: StandIn, open_page: OpenPage, state: dict[str, Any], text: str
) -> None:
    page = await open_live(open_page, stand_in)
    await show(page, state)
    await expect(page.locator("#state")).to_have_text(text)
    await expect(page.locator("#state")).to_have_attribute("data-state", state["state"])
    await expect(page.locator("#reason")).to_have_text(state.get("reason", ""))


async def test_a_reason_stays_until_there_is_a_stream(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_live(open_page, stand_in)
    down = {"state": "down", "reason": "No server answers.", "delayMs": 90_000}
    await show(page, down, {"state": "connecting"})
    await expect(page.locator("#reason")).to_have_text("No server answers.")
    await expect(page.locator("#state")).to_have_text("Connecting")
    await show(page, down, {"state": "connecting"}, {"state": "live"})
    await expect(page.locator("#reason")).to_have_text("")


async def test_the_header_stays_one_line_while_the_page_is_cut_off(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_live(open_page, stand_in, viewport={"width": 390, "height": 844})
    stand_in.send("viewers", {"viewers": 1_234_567})
    await expect(page.locator("#viewers")).to_contain_text("watching")
    before = await page.locator("#scroller").bounding_box()
    await show(page, {"state": "reconnecting", "delayMs": 90_000})
    await expect(page.locator("#viewers")).to_be_hidden()
    assert await page.locator("#scroller").bounding_box() == before


async def test_the_countdown_counts_whole_seconds_and_ends_once(modules: Page) -> None:
    code = """const shown = [];
    await new Promise((done) => it.countdown(given, (seconds) => shown.push(seconds), () => done(shown.push("done"))));
    return shown;"""
    assert await call(modules, "view/countdown.js", code, 1200) == [2, 1, "done"]
    assert await call(modules, "view/countdown.js", code, 0) == ["done"]


async def test_a_stopped_countdown_shows_nothing_more(modules: Page) -> None:
    code = """const shown = [];
    const stop = it.countdown(50, (seconds) => shown.push(seconds), () => shown.push("done"));
    stop();
    await new Promise((done) => it.countdown(100, () => {}, done));
    return shown;"""
    assert await call(modules, "view/countdown.js", code) == [1]


PLANNED = {
    "id": "demo",
    "title": "A talk",
    "state": "planned",
    "plannedAt": None,
    "startedAt": None,
    "playbackUrl": None,
}


async def test_title_and_life_of_the_video_are_told(stand_in: StandIn, open_page: OpenPage) -> None:
    stand_in.record = {**PLANNED, "plannedAt": time.time() * 1000 + 3_600_000}
    page = await open_page(f"{stand_in.url}/?video=demo")
    await expect(page.locator("#title")).to_have_text("A talk")
    await expect(page).to_have_title("A talk · Live comments")
    await expect(page.locator("#state")).to_have_text(re.compile(r"Planned · in (1:00:00|59:\d\d)"))
    stand_in.send("video", {**PLANNED, "title": "Another", "state": "live", "startedAt": 1})
    await expect(page.locator("#state")).to_have_text("Live")
    await expect(page.locator("#title")).to_have_text("Another")
    stand_in.send("video", {**PLANNED, "state": "ended"})
    await expect(page.locator("#state")).to_have_text("Ended")


async def test_what_is_no_record_changes_nothing(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_live(open_page, stand_in)
    for wrong in ({"id": "demo"}, {**PLANNED, "id": "other", "title": "Another"}, {**PLANNED, "state": "over"}):
        stand_in.send("video", wrong)
    stand_in.say("hello")
    await expect(page.locator("article")).to_have_count(1)
    await expect(page.locator("#title")).to_have_text("demo")
    await expect_state(page, "live")


async def test_an_id_that_is_none_is_refused_in_words_and_asks_for_nothing(
    stand_in: StandIn, open_page: OpenPage
) -> None:
    page = await open_page("about:blank")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.goto(f"{stand_in.url}/?video=..")
    await expect(page.locator("#state")).to_have_text("No such video")
    await expect(page.locator("#reason")).to_contain_text("letters, digits")
    await expect(page.get_by_role("form", name="Write a comment")).to_be_hidden()
    assert not [url for url in asked if "/comments" in url or url.endswith("/")]
    await page.click("#menu summary")
    await page.fill("#video", "demo")
    await page.press("#video", "Enter")
    await expect_state(page, "live")
    await expect(page.get_by_role("form", name="Write a comment")).to_be_visible()


async def test_where_only_known_videos_may_be_talked_about_others_are_told_to_be_unknown(
    stand_in: StandIn, open_page: OpenPage
) -> None:
    stand_in.refuses_with = 404
    page = await open_page(f"{stand_in.url}/?video=demo")
    await expect(page.locator("#state")).to_have_text("No such video")
    await expect(page.locator("#reason")).to_have_text("There is no video with this name.")
