"""follow.js shows a window of the comments: it follows the newest, never jumps under a reader, and stays small."""

import pytest
from playwright.async_api import Page, expect

from tests.browser_fixture import OpenPage
from tests.comment_service.page.reader import EMPTY, expect_newest, ids_shown, open_live, post, scroll_to, set_limits
from tests.comment_service.page.stand_in import StandIn
from tests.waiting import eventually

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
    await page.evaluate(
        """() => {
            window.seen = new Set();
            new MutationObserver(() => {
                for (const row of document.querySelectorAll("article")) seen.add(row.dataset.id);
            }).observe(document.getElementById("comments"), {childList: true});
        }"""
    )
    while (await ids_shown(page))[-1] != said[-1]:
        await scroll_to(page, 10_000_000)
    assert {*shown, *await page.evaluate("[...seen]")} == set(said)
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
    """Not the backfill, not what is loaded from history, and nothing that was erased. Of many is said how many."""
    for number in range(120):
        stand_in.say(f"comment {number}")
    page = await open_page("about:blank", viewport={"width": 500, "height": 4_000})  # so older ones load at once
    await page.add_init_script(f"document.addEventListener('DOMContentLoaded', {LISTEN})")
    await set_limits(page, SAY_EVERY_MS=2_000)
    await page.goto(f"{stand_in.url}/?video=demo")
    await expect_newest(page, "comment 119")
    await expect(page.locator("article").nth(99)).to_be_attached()
    said = stand_in.say("slow")
    await expect(page.locator("#announced")).to_have_text("Ann: slow")
    await expect(page.get_by_role("log")).to_have_attribute("aria-live", "off")
    stand_in.send("deleted", {"id": said["id"]})
    await expect(page.locator("#announced")).to_have_text("")
    for number in range(30):
        stand_in.say(f"fast {number}", f"name {number % 7}")
    await expect(page.locator("#announced")).to_have_text("30 new comments by 7 people. The last: name 1: fast 29")
    heard = await page.evaluate("heard")
    assert heard == ["Ann: slow", "30 new comments by 7 people. The last: name 1: fast 29"]


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


async def fill(stand_in: StandIn, open_page: OpenPage) -> Page:
    for number in range(60):
        stand_in.say(f"comment {number}")
    page = await open_live(open_page, stand_in)
    await expect_newest(page, "comment 59")
    return page


async def test_enter_on_newest_keeps_the_focus_in_the_talk(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await fill(stand_in, open_page)
    await scroll_to(page, 0)
    await page.focus("#newest")
    await page.keyboard.press("Enter")
    await expect(page.locator("#newest")).to_be_hidden()
    await expect(page.locator("#scroller")).to_be_focused()


async def test_escape_leads_to_the_newest_from_anywhere(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await fill(stand_in, open_page)
    await scroll_to(page, 0)
    await expect(page.locator("#newest")).to_be_visible()
    await page.press("#message", "Escape")
    await expect(page.locator("#newest")).to_be_hidden()
    await expect(page.locator("#message")).to_be_focused()


async def test_selected_text_stays_while_comments_come(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await fill(stand_in, open_page)
    await page.evaluate("getSelection().selectAllChildren([...document.querySelectorAll('.message')].at(-2))")
    for number in range(200):
        stand_in.say(f"later {number}")
    await expect(page.locator("#newest")).to_have_text("Paused, 200 new comments")
    assert await page.evaluate("String(getSelection())") == "comment 58"
    await expect_newest(page, "comment 59")
    await page.evaluate("getSelection().removeAllRanges()")
    await expect_newest(page, "later 199")
    await expect(page.locator("article").last).to_be_in_viewport(ratio=1)
    await expect(page.locator("#newest")).to_be_hidden()


async def test_a_pointer_holds_the_talk_and_what_is_erased_goes_all_the_same(
    stand_in: StandIn, open_page: OpenPage
) -> None:
    page = await fill(stand_in, open_page)
    await page.hover("article >> nth=-3")
    later = stand_in.say("later")
    await expect(page.locator("#newest")).to_have_text("Paused, 1 new comment")
    stand_in.send("deleted", {"id": stand_in.comments("demo")[1]["id"]})
    await expect_newest(page, "comment 58")
    await page.mouse.move(1, 1)
    await expect_newest(page, later["message"])
    await expect(page.locator("article").last).to_be_in_viewport(ratio=1)


async def test_a_mouse_that_rests_holds_it_only_for_a_while(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_page("about:blank")
    await set_limits(page, HOVER_HOLD_MS=700)
    await page.goto(f"{stand_in.url}/?video=demo")
    for number in range(60):
        stand_in.say(f"comment {number}")
    await expect_newest(page, "comment 59")
    await page.hover("article >> nth=-3")
    stand_in.say("later")
    await expect_newest(page, "later")


async def test_own_words_end_a_hold(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await fill(stand_in, open_page)
    await page.evaluate("getSelection().selectAllChildren([...document.querySelectorAll('.message')].at(-2))")
    stand_in.say("later")
    await expect(page.locator("#newest")).to_have_text("Paused, 1 new comment")
    await post(page, "mine")
    await expect_newest(page, "mine")
    await expect(page.locator("article").last).to_be_in_viewport(ratio=1)


async def test_a_flood_is_thinned_and_it_is_said_how_much(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_page("about:blank")
    await set_limits(page, PACE_WINDOW_MS=2_000, PACE_HOLD_MS=500, LOOK_MS=100)
    await page.goto(f"{stand_in.url}/?video=demo")
    await expect(page.locator("#above")).to_have_text(EMPTY)
    for number in range(200):
        stand_in.say(f"comment {number}")
    await expect_newest(page, "comment 199")
    await eventually(lambda: stand_in.rates[-1] == "10")
    await expect(page.locator("#state")).to_have_text("Live")
    stand_in.say("thinned")
    stand_in.send("skipped", {"skipped": 180})
    await expect(page.locator("#pace")).to_have_text("+90/s")
    await eventually(lambda: stand_in.rates[-1] is None)
    await expect(page.locator("#pace")).to_be_hidden()
    stand_in.say("whole again")
    await expect_newest(page, "whole again")
    assert None not in stand_in.last_event_ids[1:]  # nothing is missed at the change


async def test_all_that_is_loaded_is_printed(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await fill(stand_in, open_page)
    await page.emulate_media(media="print")
    rows = await page.evaluate(
        """() => [...document.querySelectorAll("article")].map((row) => row.getBoundingClientRect().bottom).at(-1)
            - document.getElementById("scroller").getBoundingClientRect().bottom"""
    )
    assert rows <= 0
    await expect(page.locator("#compose")).to_be_hidden()
    assert await page.evaluate("document.documentElement.scrollHeight") > 1_200
