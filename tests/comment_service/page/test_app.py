"""The page as a whole: the video in the URL, the name that is kept, two readers who write to each other, everybody."""

from urllib.parse import urlencode

import pytest
from playwright.async_api import expect

from tests.browser_fixture import OpenPage
from tests.comment_service.page.reader import (
    BEGINNING,
    EMPTY,
    expect_messages,
    expect_newest,
    expect_state,
    open_live,
    post,
    scroll_up_until,
    take_name,
)
from tests.comment_service.page.stand_in import StandIn
from tests.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_what_one_reader_posts_appears_for_the_other(stand_in: StandIn, open_page: OpenPage) -> None:
    ann = await open_live(open_page, stand_in)
    ben = await open_live(open_page, stand_in)
    await take_name(ann, "Ann")
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
    await take_name(page, "Björn")
    await page.reload()
    await expect_state(page, "live")
    await expect(page.locator("#me")).to_have_attribute("aria-label", "You write as Björn. Change your name")
    await post(page, "hello")
    await expect_messages(page, ["hello"])
    assert stand_in.posts[0][1]["author"] == {"name": "Björn"}


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
    for control in ("#title", "#state", "#menu summary", "#message", "#send", "#me"):
        await expect(page.locator(control)).to_be_in_viewport(ratio=1)
    assert len(await page.screenshot()) > 10_000


async def test_screen_readers_find_every_part(stand_in: StandIn, open_page: OpenPage) -> None:
    stand_in.say("hello")
    page = await open_live(open_page, stand_in)
    await expect(page.get_by_role("log", name="Comments").get_by_role("article")).to_have_count(1)
    for label in ("Video", "Your name", "Comment"):
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
        const dot = getComputedStyle(document.getElementById("state"), "::before");
        return [[dot.marginLeft, dot.marginRight], ...["menu", "me", "send", "title"].map((id) =>
            [rect(id).left, innerWidth - rect(id).right].map(Math.round).map(String))];
    }"""
    await expect_messages(page, ["hello"])
    usual = await page.evaluate(sides)
    await page.evaluate("document.documentElement.dir = 'rtl'")
    assert await page.evaluate(sides) == [side[::-1] for side in usual]
    assert all(left != right for left, right in usual)


async def test_a_link_within_the_page_leaves_the_talk_as_it_is(stand_in: StandIn, open_page: OpenPage) -> None:
    stand_in.say("hello")
    page = await open_live(open_page, stand_in)
    await expect_messages(page, ["hello"])
    await page.evaluate("location.hash = 'comments'")
    await page.evaluate("new Promise((done) => setTimeout(done, 0))")
    stand_in.say("later")
    await expect_messages(page, ["hello", "later"])
    assert len(stand_in.last_event_ids) == 1


@pytest.mark.parametrize("video", ["..", ".", "a/b", "no spaces", "x" * 129])
async def test_what_is_no_video_is_said_to_be_none(stand_in: StandIn, open_page: OpenPage, video: str) -> None:
    requests: list[str] = []
    page = await open_page("about:blank")
    page.on("request", lambda request: requests.append(request.url))
    await page.goto(f"{stand_in.url}/?{urlencode({'video': video})}")
    await expect_state(page, "no-video")
    await expect(page.locator("#reason")).to_contain_text("There is no such video")
    assert not [url for url in requests if "/comments" in url]


async def test_a_small_window_is_mostly_talk(stand_in: StandIn, open_page: OpenPage) -> None:
    """320 x 256 CSS pixels are what a desktop has at 400 %."""
    for number in range(30):
        stand_in.say(f"comment {number}")
    for width, height, share in ((320, 256, 0.6), (390, 844, 0.82), (844, 390, 0.7)):
        page = await open_live(open_page, stand_in, viewport={"width": width, "height": height})
        await expect(page.locator("article").last).to_be_in_viewport(ratio=1)
        talk = await page.evaluate("document.getElementById('scroller').clientHeight / innerHeight")
        assert talk >= share, (width, height)
        assert await page.evaluate("document.documentElement.scrollWidth") == width
        for control in ("#title", "#state", "#message", "#send", "#me", "#menu summary"):
            await expect(page.locator(control)).to_be_in_viewport(ratio=0.99)


async def test_text_can_be_twice_as_large(stand_in: StandIn, open_page: OpenPage) -> None:
    for number in range(30):
        stand_in.say(f"comment {number}", "a name that takes all the room there is " * 2)
    page = await open_live(open_page, stand_in, viewport={"width": 390, "height": 844})
    await page.evaluate("document.documentElement.style.fontSize = '32px'")
    assert await page.evaluate("document.documentElement.scrollWidth") == 390
    for control in ("#state", "#message", "#send", "#me", "#menu summary"):
        await expect(page.locator(control)).to_be_in_viewport(ratio=0.99)
    await expect(page.locator("article").last).to_be_in_viewport(ratio=0.9)


async def test_forced_colours_leave_everything_to_be_seen(stand_in: StandIn, open_page: OpenPage) -> None:
    """Backgrounds and shadows go then; what has only those can't be seen."""
    for number in range(60):
        stand_in.say(f"comment {number}")
    page = await open_live(open_page, stand_in, forced_colors="active")
    await expect_newest(page, "comment 59")
    await page.evaluate("document.getElementById('scroller').scrollTop = 0")
    await expect(page.locator("#newest")).to_be_visible()
    borders = """() => ["#newest", "#message", "#send", "#me"].map((name) => {
        const style = getComputedStyle(document.querySelector(name));
        const ground = getComputedStyle(document.body).backgroundColor;
        return parseFloat(style.borderTopWidth) > 0 && style.borderTopColor !== ground;
    })"""
    assert await page.evaluate(borders) == [True] * 4
    dot = await page.evaluate("getComputedStyle(document.getElementById('state'), '::before').borderTopWidth")
    assert dot == "4px"


async def test_the_keyboard_alone_is_enough(stand_in: StandIn, open_page: OpenPage) -> None:
    stand_in.say("see https://example.org")
    page = await open_live(open_page, stand_in)
    await expect(page.locator("article a")).to_be_visible()
    visited: list[str] = []
    for _ in range(8):
        await page.keyboard.press("Tab")
        visited.append(await page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert visited[:5] == ["SUMMARY", "scroller", "A", "me", "message"]
    await page.focus("#scroller")
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keys and settings")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(page.locator("#scroller")).to_be_focused()
    await page.fill("#message", "really")
    await page.press("#message", "?")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(page.locator("#message")).to_have_value("really?")


async def test_colours_can_be_chosen_and_are_kept(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_live(open_page, stand_in, color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = await page.evaluate(ground)
    await page.click("#menu summary")
    await page.click("#help-open")
    await page.select_option("#theme", "dark")
    dark = await page.evaluate(ground)
    assert dark != light
    await page.reload()
    await expect_state(page, "live")
    assert await page.evaluate(ground) == dark


async def test_without_a_script_it_is_said_what_is_missing(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_page(stand_in.url, java_script_enabled=False)
    await expect(page.locator("#unstarted")).to_be_visible()
    page = await open_page("about:blank")
    await page.route("**/page/app.js", lambda route: route.abort())
    await page.goto(stand_in.url)
    await expect(page.locator("#unstarted")).to_be_visible()
    page = await open_live(open_page, stand_in)
    await expect(page.locator("#unstarted")).to_have_count(0)
