"""follow.js shows a window of the comments: it follows the newest, never jumps under a reader, and stays small."""

import pytest
from playwright.async_api import Page, expect

from tests.browser_fixture import OpenPage
from tests.comment_service.page.reader import EMPTY, expect_newest, ids_shown, open_live, scroll_to
from tests.comment_service.page.stand_in import StandIn

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROWS_MAX = 1_000


async def gap_below_px(page: Page) -> float:
    """How far the reader is from the bottom"""
    left: float = await page.eval_on_selector("#scroller", "s => s.scrollHeight - s.scrollTop - s.clientHeight")
    return left


async def test_it_follows_the_newest(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_live(open_page, stand_in)
    for number in range(60):
        stand_in.say(f"comment {number}")
    await expect_newest(page, "comment 59")
    await expect(page.locator("article").last).to_be_in_viewport(ratio=1)
    await expect(page.locator("#newest")).to_be_hidden()
    assert await gap_below_px(page) < 2


async def test_a_reader_above_stays_there_and_sees_how_many_are_new(stand_in: StandIn, open_page: OpenPage) -> None:
    for number in range(60):
        stand_in.say(f"comment {number}")
    page = await open_live(open_page, stand_in)
    await expect_newest(page, "comment 59")
    await page.hover("#scroller")
    await page.mouse.wheel(0, -30)
    button = page.locator("#newest")
    await expect(button).to_be_visible()
    await expect(button).to_have_text("Newest")
    for number in range(60, 63):
        stand_in.say(f"comment {number}")
    await expect(button).to_have_text("3 new comments")
    assert await gap_below_px(page) > 100
    await button.click()
    await expect(page.locator("article").last).to_be_in_viewport(ratio=1)
    await expect_newest(page, "comment 62")
    await expect(button).to_be_hidden()
    stand_in.say("followed again")
    await expect_newest(page, "followed again")
    await expect(page.locator("article").last).to_be_in_viewport(ratio=1)


async def test_loading_older_comments_moves_nothing(stand_in: StandIn, open_page: OpenPage) -> None:
    """The visible rows stay where they are, to the pixel, while pages arrive above and comments below."""
    for number in range(400):
        stand_in.say(f"comment {number} " + "word " * (number * 7 % 40))
    page = await open_live(open_page, stand_in)
    await expect_newest(page, "comment 399 " + "word " * (399 * 7 % 40))
    moves = await page.evaluate(
        """async () => {
            const scroller = document.getElementById("scroller");
            const frame = () => new Promise(requestAnimationFrame);
            const first = () => document.querySelector("article").dataset.id;
            const moves = [];
            for (let step = 0; step < 3; step += 1) {
                scroller.scrollTop = step === 2 ? 0 : 700;
                await frame();
                const middle = scroller.getBoundingClientRect().top + 200;
                const row = [...document.querySelectorAll("article")]
                    .find((one) => one.getBoundingClientRect().bottom > middle);
                const top = row.getBoundingClientRect().top;
                const before = first();
                while (first() === before) await frame();
                moves.push(row.getBoundingClientRect().top - top);
            }
            return moves;
        }"""
    )
    assert max(map(abs, moves)) < 1, moves


async def test_a_flood_keeps_the_document_small(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_live(open_page, stand_in)
    await expect(page.locator("#above")).to_have_text(EMPTY)
    await page.evaluate(
        """() => {
            window.rowsMax = 0;
            new MutationObserver(() => {
                window.rowsMax = Math.max(window.rowsMax, document.querySelectorAll("article").length);
            }).observe(document.getElementById("comments"), {childList: true});
        }"""
    )
    for number in range(2000):
        stand_in.say(f"comment {number}")
    await expect_newest(page, "comment 1999")
    assert await page.evaluate("window.rowsMax") <= ROWS_MAX
    assert stand_in.cursors == [None]  # at the empty start; the flood caused no request to history


async def test_reading_back_and_forth_loses_nothing(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_live(open_page, stand_in)
    await expect(page.locator("#above")).to_have_text(EMPTY)
    said = [stand_in.say(f"comment {number}")["id"] for number in range(2500)]
    await expect_newest(page, "comment 2499")
    up: set[str] = set()
    while said[0] not in up:
        await scroll_to(page, 0)
        up.update(await ids_shown(page))
    assert up >= set(said[:-200])
    assert await page.locator("article").count() <= ROWS_MAX
    shown = await ids_shown(page)
    assert shown == said[: len(shown)]
    down: set[str] = set(shown)
    while said[-1] not in down:
        await scroll_to(page, 10_000_000)
        down.update(await ids_shown(page))
    assert down == set(said)
    assert stand_in.cursors == [None]  # at the empty start; all the rest was still in memory


LISTEN = """() => {
    window.heard = [];
    const hear = (changes) => changes.forEach((one) => one.addedNodes.forEach((node) => {
        if (node.parentElement?.closest("[aria-live=polite], [aria-live=assertive]")) heard.push(node.textContent);
    }));
    const listener = new MutationObserver(hear);
    for (const id of ["comments", "announced"]) listener.observe(document.getElementById(id), {childList: true});
}"""


async def test_only_what_is_new_is_read_aloud(stand_in: StandIn, open_page: OpenPage) -> None:
    """Not the backfill, not what is loaded from history, not what comes too fast, and nothing that was erased."""
    for number in range(120):
        stand_in.say(f"comment {number}")
    page = await open_page("about:blank", viewport={"width": 500, "height": 4_000})  # so older ones load at once
    await page.add_init_script(f"document.addEventListener('DOMContentLoaded', {LISTEN})")
    await page.goto(f"{stand_in.url}/?video=demo")
    await expect_newest(page, "comment 119")
    await expect(page.locator("article").nth(99)).to_be_attached()
    said = stand_in.say("slow")
    await expect(page.locator("#announced")).to_have_text("Ann: slow")
    await expect(page.get_by_role("log")).to_have_attribute("aria-live", "off")
    stand_in.send("deleted", {"id": said["id"]})
    await expect(page.locator("#announced")).to_have_text("")
    for number in range(30):
        stand_in.say(f"fast {number}")
    await expect_newest(page, "fast 29")
    heard = await page.evaluate("heard")
    assert heard[0] == "Ann: slow"
    assert len(heard) <= 3


async def test_the_end_key_leads_to_the_newest(stand_in: StandIn, open_page: OpenPage) -> None:
    for number in range(60):
        stand_in.say(f"comment {number}")
    page = await open_live(open_page, stand_in)
    await expect_newest(page, "comment 59")
    await scroll_to(page, 0)
    await expect(page.locator("#newest")).to_be_visible()
    await page.focus("#scroller")
    await page.keyboard.press("End")
    await expect(page.locator("#newest")).to_be_hidden()
    await expect(page.locator("article").last).to_be_in_viewport(ratio=1)
