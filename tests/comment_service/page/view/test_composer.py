"""composer.js posts comments: no typed text is lost, and none is posted twice."""

import pytest
from playwright.async_api import Page, Route, expect
from starlette.responses import JSONResponse

from proto.http.responses import error_response
from tests.browser_fixture import OpenPage
from tests.comment_service.page.reader import expect_messages, open_live, post
from tests.comment_service.page.stand_in import StandIn

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def expect_sent(page: Page) -> None:
    await expect(page.locator("#message")).to_have_value("")
    await expect(page.locator("#problem")).to_have_text("")
    await expect(page.locator("#send")).to_have_text("Send")


async def test_enter_sends_and_shift_enter_does_not(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_live(open_page, stand_in)
    await page.fill("#message", "two")
    await page.press("#message", "Shift+Enter")
    await page.locator("#message").press_sequentially("lines")
    assert stand_in.posts == []
    await page.press("#message", "Enter")
    await expect_sent(page)
    await expect_messages(page, ["two\nlines"])
    assert stand_in.posts[0][1] == {"liveVideoId": "demo", "message": "two\nlines"}


async def test_the_button_sends_under_the_name(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_live(open_page, stand_in)
    await page.fill("#name", " Ann ")
    await page.press("#name", "Enter")
    await expect(page.locator("#message")).to_be_focused()
    await expect(page.locator("#send")).to_be_disabled()
    await page.fill("#message", "hello")
    await page.click("#send")
    await expect_sent(page)
    assert stand_in.posts[0][1] == {"liveVideoId": "demo", "message": "hello", "author": {"name": "Ann"}}


async def test_a_refusal_shows_its_reason_and_keeps_the_text(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_live(open_page, stand_in)
    stand_in.responses_to_posts.append(error_response(422, "rude", "message is rude: be kind"))
    await post(page, "you fool")
    await expect(page.locator("#problem")).to_have_text("Message is rude: be kind. Your text is kept.")
    await expect(page.locator("#message")).to_have_value("you fool")
    await expect(page.locator("#send")).to_have_text("Send")
    await post(page, "you sage")
    await expect_sent(page)
    assert stand_in.posts[0][0] != stand_in.posts[1][0]


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_obeyed(stand_in: StandIn, open_page: OpenPage, status: int) -> None:
    page = await open_live(open_page, stand_in)
    stand_in.responses_to_posts.append(error_response(status, "later", "not now", {"retry-after": "1"}))
    await post(page, "hello")
    await expect(page.locator("#send")).to_have_text("Retry in 1 s")
    await expect(page.locator("#send")).to_be_disabled()
    await page.press("#message", "Enter")
    await expect(page.locator("#send")).to_have_text("Retry")
    assert len(stand_in.posts) == 1
    await page.click("#send")
    await expect_sent(page)
    assert stand_in.posts[0] == stand_in.posts[1]  # also the key
    await expect_messages(page, ["hello"])


async def test_a_retry_after_a_lost_response_posts_once(stand_in: StandIn, open_page: OpenPage) -> None:
    """The service has accepted the comment, but its response never arrives."""
    page = await open_live(open_page, stand_in)

    async def lose_the_response(route: Route) -> None:
        await route.fetch()
        await route.abort("connectionreset")

    await page.route("**/comment/create", lose_the_response, times=1)
    await post(page, "hello")
    await expect(page.locator("#problem")).to_have_text("No server answers. Your text is kept.")
    await expect(page.locator("#send")).to_have_text("Retry")
    await page.click("#send")
    await expect_sent(page)
    await expect_messages(page, ["hello"])
    assert stand_in.posts[0] == stand_in.posts[1]


async def test_the_same_text_twice_is_two_posts(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_live(open_page, stand_in)
    for _ in range(2):
        await post(page, "ha")
        await expect_sent(page)
    await expect_messages(page, ["ha", "ha"])


async def test_a_response_that_is_no_json_is_a_failure(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_live(open_page, stand_in)
    broken = JSONResponse(None)
    broken.body = b"{"
    broken.headers["content-length"] = "1"
    stand_in.responses_to_posts.append(broken)
    await post(page, "hello")
    await expect(page.locator("#problem")).to_have_text("The server's answer was incomplete. Your text is kept.")


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


KEYDOWN = """(options) => document.activeElement.dispatchEvent(
    new KeyboardEvent("keydown", {key: "Enter", bubbles: true, cancelable: true, ...options}))"""


async def test_the_enter_that_ends_a_composition_does_not_send(stand_in: StandIn, open_page: OpenPage) -> None:
    """Safari sends it behind the composition's end, with isComposing false and keyCode 229 (WebKit bug 165004)."""
    page = await open_live(open_page, stand_in)
    await page.focus("#name")
    await page.evaluate(KEYDOWN, {"isComposing": False, "keyCode": 229})
    await expect(page.locator("#name")).to_be_focused()
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
    await expect(page.locator("#problem")).to_contain_text("Your text is kept.")
    await expect(page.locator("#message")).to_have_value("hello")
    assert stand_in.posts == []


@pytest.mark.parametrize("body", [None, {}, [], "posted"])
async def test_an_answer_without_a_comment_is_a_failure(stand_in: StandIn, open_page: OpenPage, body: object) -> None:
    page = await open_live(open_page, stand_in)
    stand_in.responses_to_posts.append(JSONResponse(body))
    await post(page, "hello")
    await expect(page.locator("#problem")).to_have_text("The server's answer was incomplete. Your text is kept.")
    await expect(page.locator("#message")).to_have_value("hello")
