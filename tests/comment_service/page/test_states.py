"""Each state of the page is reached, says so, and has nothing that axe objects to."""

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import expect

from tests.browser_fixture import OpenPage
from tests.browsers.fixture import SIZES
from tests.comment_service.page.stand_in import StandIn
from tests.comment_service.page.states import STATES, State

pytestmark = pytest.mark.asyncio(loop_scope="session")

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.mark.parametrize("state", STATES, ids=[state.name for state in STATES])
async def test_each_state_is_seen_and_usable_by_everybody(stand_in: StandIn, open_page: OpenPage, state: State) -> None:
    page = await state.reach(stand_in, open_page)
    await expect(state.seen(page)).to_be_visible()
    problems: list[str] = []
    for size, (width, height) in SIZES.items():
        await page.set_viewport_size({"width": width, "height": height})
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)
            assert len(await page.screenshot()) > 5_000
            if state.name != "no_script":  # axe is a script
                report = await Axe().run(page, options={"runOnly": TAGS})
                problems += (f"{size}, {scheme}: {report.generate_report()}",) if report.violations_count else ()
    assert not problems, "\n".join(problems)
