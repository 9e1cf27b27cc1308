"""The words: the page speaks the browser's language, or the one that the reader has chosen."""

import json

import pytest
from playwright.async_api import Page, expect

from tests.browser_fixture import OpenPage
from tests.comment_service.page.reader import expect_state, open_live
from tests.comment_service.page.stand_in import PAGE, StandIn

pytestmark = pytest.mark.asyncio(loop_scope="session")

LANGUAGES = sorted(path.stem for path in (PAGE / "words").glob("*.json"))

OWN_NAMES = ["English", "Deutsch", "español", "العربية", "हिन्दी", "中文"]


def words_of(language: str) -> dict[str, str]:
    words: dict[str, str] = json.loads((PAGE / "words" / f"{language}.json").read_bytes())
    return words


async def expect_language(page: Page, language: str, locale: str) -> None:
    words = words_of(language)
    await expect_state(page, "live")
    await expect(page.locator("html")).to_have_attribute("lang", locale)
    await expect(page.locator("html")).to_have_attribute("dir", words["direction"])
    await expect(page.locator("#message")).to_have_attribute("placeholder", words["write"])
    await expect(page.locator("#state")).to_have_text(words["state_live"])


@pytest.mark.parametrize("language", LANGUAGES)
async def test_it_speaks_the_browsers_language(stand_in: StandIn, open_page: OpenPage, language: str) -> None:
    """And all of it fits on the smallest screen."""
    page = await open_live(open_page, stand_in, locale=language, viewport={"width": 320, "height": 640})
    await expect_language(page, language, language)
    stand_in.send("viewers", {"viewers": 1234})
    await expect(page.locator("#viewers")).not_to_be_empty()
    assert await page.evaluate("document.documentElement.scrollWidth") == 320
    for control in ("#state", "#viewers", "#menu summary", "#message", "#send"):
        await expect(page.locator(control)).to_be_in_viewport(ratio=1)


async def test_of_a_language_that_there_is_not_it_speaks_english(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_live(open_page, stand_in, locale="fi-FI")
    await expect_language(page, "en", "en")


async def test_a_chosen_language_is_kept(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_live(open_page, stand_in, locale="de-AT")
    await expect_language(page, "de", "de-AT")
    await choose(page, "de", "ar")
    await expect_language(page, "ar", "ar")
    await page.reload()
    await expect_language(page, "ar", "ar")
    await choose(page, "ar", "zh")
    await expect_language(page, "zh", "zh")


async def choose(page: Page, spoken: str, wanted: str) -> None:
    await page.click("#menu summary")
    await page.click("#help-open")
    select = page.get_by_label(words_of(spoken)["language"])
    assert await select.locator("option").all_text_contents() == OWN_NAMES
    await select.select_option(wanted)
