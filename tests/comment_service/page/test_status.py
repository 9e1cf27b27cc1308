"""The pill and the line below it."""

from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser_fixture import OpenPage
from tests.comment_service.page.modules import call
from tests.comment_service.page.reader import open_live
from tests.comment_service.page.stand_in import StandIn

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def show(page: Page, *states: dict[str, Any]) -> None:
    code = "const status = new it.Status(); for (const one of given) status.show(one);"
    await call(page, "status.js", code, [{"reason": "", "delayMs": 0, **state} for state in states])


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ({"state": "connecting"}, "Connecting"),
        ({"state": "live"}, "Live"),
        ({"state": "reconnecting", "delayMs": 300}, "Reconnecting"),
        ({"state": "reconnecting", "delayMs": 90_000}, "Reconnecting in 90 s"),
        ({"state": "down", "reason": "No server answers.", "delayMs": 90_000}, "No server, again in 90 s"),
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
