"""composer.js and posts.js: a comment is there at once, no typed text is lost, and none is posted twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Page, Route, expect
from starlette.responses import JSONResponse

from proto.http.responses import error_response
from tests.browser_fixture import OpenPage
from tests.comment_service.page.reader import (
    expect_messages,
    expect_state,
    open_live,
    open_with_limits,
    post,
    take_name,
)
from tests.comment_service.page.stand_in import StandIn
from tests.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def expect_sent(page: Page) -> None:
    await expect(page.locator("#message")).to_have_value("")
    await expect(page.locator("#posts .post")).to_have_count(0)
    await expect(page.locator("#problem")).to_have_text("")


@asynccontextmanager
async def slow_answers(page: Page) -> AsyncIterator[None]:
    """The service's answers arrive only behind this."""
    over = asyncio.Event()

    async def hold(route: Route) -> None:
        response = await route.fetch()
        await over.wait()
        await route.fulfill(response=response)

    await page.route("**/comment/create", hold)
    yield
    over.set()


async def test_enter_sends_and_shift_enter_does_not(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_live(open_page, stand_in)
    await page.fill("#message", "two")
    await page.press("#message", "Shift+Enter")
    await page.locator("#message").press_sequentially("lines")
    assert stand_in.posts == []
    await page.press("#message", "Enter")
    await page.press("#name", "Enter")
    await expect_sent(page)
    await expect_messages(page, ["two\nlines"])
    assert stand_in.posts[0][1] == {"liveVideoId": "demo", "message": "two\nlines"}


async def test_the_name_is_asked_at_the_first_post(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_live(open_page, stand_in)
    await expect(page.locator("#name")).to_be_hidden()
    await expect(page.locator("#send")).to_be_disabled()
    await page.fill("#message", "hello")
    await page.click("#send")
    await expect(page.locator("#name")).to_be_focused()
    await page.fill("#name", " Ann ")
    await page.click("#named")
    await expect_sent(page)
    await expect(page.locator("#message")).to_be_focused()
    await post(page, "hello again")
    await expect_messages(page, ["hello", "hello again"])
    assert stand_in.posts[0][1] == {"liveVideoId": "demo", "message": "hello", "author": {"name": "Ann"}}


async def test_escape_leaves_the_name_and_the_text_as_they_were(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_live(open_page, stand_in)
    await page.fill("#message", "hello")
    await page.press("#message", "Enter")
    await page.fill("#name", "Ann")
    await page.press("#name", "Escape")
    await expect(page.locator("#message")).to_be_focused()
    await expect(page.locator("#message")).to_have_value("hello")
    assert stand_in.posts == []


async def test_own_comments_are_there_at_once_and_in_order(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_live(open_page, stand_in)
    await take_name(page, "Ann")
    async with slow_answers(page):
        for number in range(3):
            await post(page, f"mine {number}")
        await expect(page.locator("#message")).to_have_value("")
        # The stream brings the first one, whose answer is still on its way: it isn't there twice.
        await expect_messages(page, ["mine 0"])
        await expect(page.locator("article.mine")).to_have_count(0)
        await expect(page.locator("#posts .message")).to_have_text(["mine 1", "mine 2"])
        await page.locator("#message").press_sequentially("typed meanwhile")
    await expect_messages(page, ["mine 0", "mine 1", "mine 2"])
    await expect(page.locator("#posts .post")).to_have_count(0)
    await expect(page.locator("#message")).to_have_value("typed meanwhile")
    await expect(page.locator("article.mine")).to_have_count(3)
    assert [body["message"] for _, body in stand_in.posts] == ["mine 0", "mine 1", "mine 2"]


async def test_a_refusal_shows_its_reason_and_gives_the_text_back(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_live(open_page, stand_in)
    stand_in.responses_to_posts.append(error_response(422, "rude", "message is rude: be kind"))
    await post(page, "you fool")
    await expect(page.locator("#problem")).to_have_text("Not sent: Message is rude: be kind.")
    await expect(page.locator(".post.failed .message")).to_have_text("you fool")
    await page.click("text=Take back")
    await expect(page.locator("#message")).to_have_value("you fool")
    await expect(page.locator("#message")).to_be_focused()
    await post(page, "you sage")
    await expect_sent(page)
    await expect_messages(page, ["you sage"])
    assert stand_in.posts[0][0] != stand_in.posts[1][0]


@pytest.mark.parametrize("status", [429, 503])
async def test_it_is_sent_again_when_the_service_says_so(stand_in: StandIn, open_page: OpenPage, status: int) -> None:
    page = await open_live(open_page, stand_in)
    stand_in.responses_to_posts.append(error_response(status, "later", "not now", {"retry-after": "2"}))
    await post(page, "hello")
    await expect(page.locator(".post .notes")).to_have_text("Not now. Sending again…")
    await expect_messages(page, ["hello"])
    await expect_sent(page)
    assert stand_in.posts[0] == stand_in.posts[1]  # also the key


async def test_a_retry_after_a_lost_response_posts_once(stand_in: StandIn, open_page: OpenPage) -> None:
    """The service has accepted the comment, but its responses never arrive; the stream is away, too."""
    page = await open_with_limits(open_page, stand_in, POST_TRIES_MAX=2, POST_PAUSE_FIRST_MS=50)
    rms, stand_in.rms = stand_in.rms, None
    assert rms is not None
    await rms.kill()

    async def lose_the_response(route: Route) -> None:
        await route.fetch()
        await route.abort("connectionreset")

    await page.route("**/comment/create", lose_the_response, times=2)
    await post(page, "hello")
    await expect(page.locator("#problem")).to_have_text("Not sent: No server answers.")
    await page.click(".post >> text=Retry")
    await expect_sent(page)
    await expect_messages(page, ["hello"])
    stand_in.start_rms()
    await expect_state(page, "live")
    await expect_messages(page, ["hello"])
    assert stand_in.posts[0] == stand_in.posts[1] == stand_in.posts[2]


async def test_the_same_text_twice_is_two_posts(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_live(open_page, stand_in)
    for _ in range(2):
        await post(page, "ha")
    await expect_messages(page, ["ha", "ha"])
    await expect_sent(page)


@pytest.mark.parametrize("body", ["{", None, {}, [], "posted"])
async def test_an_answer_without_a_comment_is_asked_again(stand_in: StandIn, open_page: OpenPage, body: object) -> None:
    page = await open_live(open_page, stand_in)
    broken = JSONResponse(body)
    if body == "{":
        broken.body, broken.headers["content-length"] = b"{", "1"
    stand_in.responses_to_posts.append(broken)
    await post(page, "hello")
    await expect(page.locator(".post .notes")).to_have_text("The server's answer was incomplete. Sending again…")
    await expect_messages(page, ["hello"])
    await expect_sent(page)
    assert stand_in.posts[0] == stand_in.posts[1]


async def test_drafts_and_posts_survive_a_reload(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_live(open_page, stand_in)
    stand_in.responses_to_posts.append(error_response(503, "later", "not now", {"retry-after": "200"}))
    await post(page, "on its way")
    await expect(page.locator(".post .notes")).to_contain_text("Sending again")
    await page.locator("#message").press_sequentially("a draft")
    await page.reload()
    await expect(page.locator("#message")).to_have_value("a draft")
    await expect_messages(page, ["on its way"])
    await expect(page.locator("#posts .post")).to_have_count(0)
    assert stand_in.posts[0] == stand_in.posts[1]


async def test_each_video_has_its_draft(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_live(open_page, stand_in)
    await page.fill("#message", "about the demo")
    await page.evaluate("history.pushState(null, '', '?video=other'); dispatchEvent(new PopStateEvent('popstate'))")
    await expect(page.locator("#message")).to_have_value("")
    await page.go_back()
    await expect(page.locator("#message")).to_have_value("about the demo")


async def test_arrow_up_takes_the_last_one_back(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_live(open_page, stand_in)
    stand_in.responses_to_posts.append(error_response(503, "later", "not now", {"retry-after": "200"}))
    await post(page, "helo")
    await expect(page.locator(".post .notes")).to_contain_text("Sending again")
    await page.press("#message", "ArrowUp")
    await expect(page.locator("#message")).to_have_value("helo")
    await expect(page.locator("#posts .post")).to_have_count(0)
    await post(page, "hello")
    await expect_messages(page, ["hello"])
    await page.press("#message", "ArrowUp")  # that one is said: it may be said once more
    await expect(page.locator("#message")).to_have_value("hello")
    await post(page, "hello")
    await expect_messages(page, ["hello", "hello"])


async def test_the_counter_counts_what_the_service_counts(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_live(open_page, stand_in)
    count, send = page.locator("#count"), page.locator("#send")
    for text, label in (("x" * 399, ""), ("😀" * 410, "90 left"), ("x" * 500, "Full"), ("x" * 503, "3 too many")):
        await page.fill("#message", text)
        await expect(count).to_have_text(label)
    await expect(send).to_be_disabled()
    await page.fill("#message", " \n ")
    await expect(send).to_be_disabled()
    await page.fill("#message", "😀" * 500)  # 500 characters, exactly 2,000 bytes
    await expect(send).to_be_enabled()


async def test_the_counter_is_not_spoken_at_each_key(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_live(open_page, stand_in)
    await page.evaluate(
        """() => {
            window.spoken = [];
            new MutationObserver((changes) => changes.forEach(({target}) => {
                if (target.closest("[aria-hidden=true]")) return;
                if (target.closest("output, [role=status], [role=alert], [aria-live=polite]")) {
                    spoken.push(target.textContent);
                }
            })).observe(document.getElementById("compose"), {childList: true, subtree: true});
        }"""
    )
    await page.fill("#message", "x" * 470)
    await page.locator("#message").press_sequentially("y" * 40)
    await expect(page.locator("#count")).to_have_text("10 too many")
    assert await page.evaluate("spoken") == ["Only a few characters are left.", "The comment is too long."]


async def test_a_megabyte_can_be_pasted(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_live(open_page, stand_in)
    await page.focus("#message")
    await page.evaluate("document.execCommand('insertText', false, 'x'.repeat(1_000_000))")
    await expect(page.locator("#count")).to_have_text("1,500 too many")
    assert len(await page.input_value("#message")) == 2_000


KEYDOWN = """(options) => document.activeElement.dispatchEvent(
    new KeyboardEvent("keydown", {key: "Enter", bubbles: true, cancelable: true, ...options}))"""


async def test_the_enter_that_ends_a_composition_does_not_send(stand_in: StandIn, open_page: OpenPage) -> None:
    """Safari sends it behind the composition's end, with isComposing false and keyCode 229 (WebKit bug 165004)."""
    page = await open_live(open_page, stand_in)
    await page.click("#me")
    await page.evaluate(KEYDOWN, {"isComposing": False, "keyCode": 229})
    await expect(page.locator("#name")).to_be_focused()
    await page.press("#name", "Enter")
    await page.fill("#message", "にほ")
    for keys in ({"isComposing": True, "keyCode": 229}, {"isComposing": False, "keyCode": 229}):
        await page.evaluate(KEYDOWN, keys)
        await expect(page.locator("#message")).to_have_value("にほ")
        await expect(page.locator("#send")).to_be_enabled()
    await page.evaluate(KEYDOWN, {"isComposing": False, "keyCode": 13})
    await expect_sent(page)
    assert [body["message"] for _, body in stand_in.posts] == ["にほ"]


async def test_an_older_browser_posts(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_live(open_page, stand_in)
    await page.evaluate("delete AbortSignal.any; delete AbortSignal.timeout")
    await post(page, "hello")
    await expect_messages(page, ["hello"])
    await expect_sent(page)


async def test_an_error_of_the_page_itself_is_no_success(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_live(open_page, stand_in)
    await page.evaluate("window.AbortController = undefined")
    await post(page, "hello")
    await expect(page.locator("#problem")).to_have_text("Not sent: This page has failed.")
    await expect(page.locator(".post.failed .message")).to_have_text("hello")
    assert stand_in.posts == []


@pytest.mark.parametrize("width", [320, 390, 900])
async def test_the_box_grows_with_its_text_and_the_talk_follows(
    stand_in: StandIn, open_page: OpenPage, width: int
) -> None:
    """A box that is measured by collapsing it moves the talk, which looks as if the reader had scrolled up."""
    page = await open_live(open_page, stand_in, viewport={"width": width, "height": 700})
    for number in range(60):
        stand_in.say(f"comment {number}")
    await expect(page.locator("article .message").last).to_have_text("comment 59")
    height = "document.getElementById('message').clientHeight"
    before = await page.evaluate(height)
    await page.focus("#message")
    for _ in range(5):
        await page.keyboard.type("some more words to fill a line or two ")
        stand_in.say("meanwhile")
        await eventually(lambda: page.evaluate("document.querySelector('article:last-child') !== null"))
    assert await page.evaluate(height) > before + 15
    stand_in.say("the last")
    await expect(page.locator("article .message").last).to_have_text("the last")
    await expect(page.locator("article").last).to_be_in_viewport(ratio=1)
    await expect(page.locator("#newest")).to_be_hidden()
