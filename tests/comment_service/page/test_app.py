"""The page as a whole: the video in the URL, the name that is kept, two readers who write to each other."""

import pytest
from playwright.async_api import expect

from tests.browser_fixture import OpenPage
from tests.comment_service.page.reader import (
    BEGINNING,
    EMPTY,
    expect_messages,
    expect_state,
    open_live,
    post,
    scroll_up_until,
)
from tests.comment_service.page.stand_in import StandIn
from tests.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_what_one_reader_posts_appears_for_the_other(stand_in: StandIn, open_page: OpenPage) -> None:
    ann = await open_live(open_page, stand_in)
    ben = await open_live(open_page, stand_in)
    await ann.fill("#name", "Ann")
    await post(ann, "hello")
    await expect_messages(ben, ["hello"])
    await expect(ben.locator("article .author")).to_have_text("Ann")
    await post(ben, "hello, Ann")
    for page in (ann, ben):
        await expect_messages(page, ["hello", "hello, Ann"])
    await expect(ann.locator("article .author").last).to_have_text("Anonymous")


async def test_without_a_video_in_the_url_it_shows_the_default(stand_in: StandIn, open_page: OpenPage) -> None:
    stand_in.say("welcome")
    page = await open_page(stand_in.url)
    await expect(page).to_have_url(f"{stand_in.url}/?video=demo")
    await expect(page.locator("#video")).to_have_value("demo")
    await expect_messages(page, ["welcome"])


async def test_another_video_shows_its_comments_and_back_returns(stand_in: StandIn, open_page: OpenPage) -> None:
    stand_in.say("about the demo")
    stand_in.arrive(stand_in.comment("about the game", video="game:1"))
    page = await open_live(open_page, stand_in)
    await expect_messages(page, ["about the demo"])
    await page.click("#menu summary")
    await page.fill("#video", "game:1")
    await page.press("#video", "Enter")
    await expect_messages(page, ["about the game"])
    await expect(page).to_have_url(f"{stand_in.url}/?video=game%3A1")
    await post(page, "goal")
    await eventually(lambda: bool(stand_in.posts))
    assert stand_in.posts[-1][1]["liveVideoId"] == "game:1"
    await page.go_back()
    await expect_messages(page, ["about the demo"])
    await expect_state(page, "live")


async def test_the_form_refuses_an_invalid_video_id(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_live(open_page, stand_in)
    await page.click("#menu summary")
    await page.fill("#video", "no spaces, please")
    await page.click("text=Open")
    assert "letters" in await page.eval_on_selector("#video", "box => box.validationMessage")
    await expect(page).to_have_url(f"{stand_in.url}/?video=demo")


async def test_the_name_is_kept_in_the_browser(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_live(open_page, stand_in)
    await page.fill("#name", "Björn")
    await page.reload()
    await expect(page.locator("#name")).to_have_value("Björn")


async def test_without_comments_the_page_invites_to_write(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_live(open_page, stand_in)
    await expect(page.locator("#above")).to_have_text(EMPTY)
    stand_in.say("the first word")
    await expect_messages(page, ["the first word"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_fits_a_phone(stand_in: StandIn, open_page: OpenPage, scheme: str) -> None:
    for number in range(30):
        stand_in.say(f"{number} " + "unbreakable" * 20, "a name that takes all the room there is " * 2)
    page = await open_live(
        open_page, stand_in, viewport={"width": 360, "height": 640}, is_mobile=True, color_scheme=scheme
    )
    await expect(page.locator("article").last).to_be_in_viewport()
    assert await page.evaluate("document.documentElement.scrollWidth") == 360
    assert await page.evaluate("document.documentElement.scrollHeight") == 640
    for control in ("#title", "#state", "#menu summary", "#message", "#send", "#name"):
        await expect(page.locator(control)).to_be_in_viewport(ratio=1)
    assert len(await page.screenshot()) > 10_000


async def test_screen_readers_find_every_part(stand_in: StandIn, open_page: OpenPage) -> None:
    stand_in.say("hello")
    page = await open_live(open_page, stand_in)
    await expect(page.get_by_role("log", name="Comments").get_by_role("article")).to_have_count(1)
    for label in ("Video", "Name", "Comment"):
        await expect(page.get_by_label(label, exact=True)).to_have_count(1)
    await expect(page.get_by_role("heading", level=1)).to_have_text("demo")
    await expect(page.get_by_role("main")).to_have_count(1)
    await expect(page.get_by_role("form", name="Write a comment")).to_be_visible()
    await expect(page.get_by_role("status").filter(has_text="Live")).to_be_visible()
    await expect(page.get_by_role("button", name="Send")).to_be_visible()


async def test_it_works_below_a_prefix(stand_in_below_a_prefix: StandIn, open_page: OpenPage) -> None:
    service = stand_in_below_a_prefix
    for number in range(60):
        service.say(f"comment {number}")
    page = await open_live(open_page, service)
    await post(page, "hello")
    await expect(page.locator("article .message").last).to_have_text("hello")
    await scroll_up_until(page, BEGINNING)
    await expect(page.locator("article")).to_have_count(61)
    assert page.url == f"{service.url}/?video=demo"


async def test_from_right_to_left_it_is_mirrored(stand_in: StandIn, open_page: OpenPage) -> None:
    stand_in.say("hello")
    page = await open_live(open_page, stand_in, viewport={"width": 900, "height": 600})
    sides = """() => {
        const rect = (id) => document.getElementById(id).getBoundingClientRect();
        const row = document.querySelector("article");
        const disc = getComputedStyle(row, "::before");
        const dot = getComputedStyle(document.getElementById("state"), "::before");
        const {paddingLeft, paddingRight} = getComputedStyle(row);
        return [[paddingLeft, paddingRight], [disc.left, disc.right], [dot.marginLeft, dot.marginRight],
            [rect("menu").left, innerWidth - rect("menu").right].map(Math.round).map(String)];
    }"""
    await expect_messages(page, ["hello"])
    usual = await page.evaluate(sides)
    await page.evaluate("document.documentElement.dir = 'rtl'")
    assert await page.evaluate(sides) == [side[::-1] for side in usual]
    assert all(left != right for left, right in usual)
