"""header.js and countdown.js: the state of the connection, the reason, and the seconds until the next try."""

from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser_fixture import OpenPage
from tests.comment_service.page.modules import call
from tests.comment_service.page.reader import open_live
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
