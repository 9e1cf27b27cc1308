"""Every state that the page can be in: how a reader gets there, and the words that say so.

test_states.py reaches each and has axe judge it; pictures.py takes its picture for docs/page.md.
"""

import io
import time
import wave
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from playwright.async_api import Locator, Page, Route, expect
from starlette.responses import Response

from proto.http.responses import error_response
from tests.browser_fixture import OpenPage
from tests.comment_service.page.reader import BEGINNING, expect_newest, expect_state, post, scroll_to, take_name
from tests.comment_service.page.stand_in import StandIn

STREAMS_OF_A_BROWSER = 4
"""to one host: SLOTS in limits.js"""

Reach = Callable[[StandIn, OpenPage], Awaitable[Page]]


@dataclass(frozen=True, slots=True)
class State:
    name: str
    words: str
    """which can be read in this state"""
    reach: Reach
    where: str = ""
    """a selector, where the words alone don't find it"""

    def seen(self, page: Page) -> Locator:
        """What shows the words"""
        if self.where:
            return page.locator(self.where)
        return page.get_by_text(self.words).or_(page.get_by_placeholder(self.words)).first


STATES: list[State] = []


def state(words: str, where: str = "") -> Callable[[Reach], Reach]:
    def add(reach: Reach) -> Reach:
        STATES.append(State(reach.__name__, words, reach, where))
        return reach

    return add


TALK = (
    ("Ann", "Good evening from Bergen"),
    ("Ann", "Is the sound all right for you?"),
    ("Ben", "Sound is fine here"),
    ("María José", "La imagen va perfecta, gracias"),
    ("ليلى", "مساء الخير من القاهرة"),
    ("Ben", "The slides are at https://example.org/slides/2026?page=12 by the way"),
    ("Chidi", "@Ann what was the name of the second band?"),
    ("Ann", "😀"),
    ("Mei", "Grüße aus Zürich"),
    ("Dora", "They were in town last year, and I still think about that evening. " * 7),
    ("Ben", "Haha"),
    ("Ben", "Same here"),
)


def record(state: str, **more: Any) -> dict[str, Any]:
    """What the service tells of the video"""
    known = {"id": "demo", "title": "Songs from Bergen", "state": state}
    return known | {"plannedAt": None, "startedAt": None, "playbackUrl": None} | more


def talk(stand_in: StandIn) -> None:
    for name, message in TALK:
        stand_in.say(message, name)


async def visit(stand_in: StandIn, open_page: OpenPage, **context: Any) -> Page:
    return await open_page(f"{stand_in.url}/?video=demo", **context)


async def live_page(stand_in: StandIn, open_page: OpenPage) -> Page:
    """With a talk, and a reader called Kim"""
    talk(stand_in)
    stand_in.record = stand_in.record or record("live")
    page = await visit(stand_in, open_page)
    await expect_state(page, "live")
    await expect_newest(page, TALK[-1][1])
    stand_in.send("viewers", {"viewers": 1234})
    await take_name(page, "Kim")
    return page


@state("Be the first to write one.")
async def empty(stand_in: StandIn, open_page: OpenPage) -> Page:
    page = await visit(stand_in, open_page)
    await expect_state(page, "live")
    return page


@state("1,234 watching")
async def live(stand_in: StandIn, open_page: OpenPage) -> Page:
    page = await live_page(stand_in, open_page)
    await post(page, "Hello from Vienna")
    await expect(page.locator("article.mine")).to_be_visible()
    return page


@state("· in 2:59:")
async def planned(stand_in: StandIn, open_page: OpenPage) -> Page:
    stand_in.record = record("planned", plannedAt=int(time.time() * 1000) + 3 * 3600 * 1000)
    stand_in.say("I can hardly wait", "Ben")
    page = await visit(stand_in, open_page)
    await expect_state(page, "planned")
    return page


@state("This video has ended.")
async def ended(stand_in: StandIn, open_page: OpenPage) -> Page:
    talk(stand_in)
    stand_in.record = record("ended", startedAt=stand_in.arrivals[0][1]["createdAt"])
    page = await visit(stand_in, open_page)
    await expect_state(page, "ended")
    return page


@state("1,234 watching", "#player video")
async def with_video(stand_in: StandIn, open_page: OpenPage) -> Page:
    """The video is a second of silence."""
    silence = io.BytesIO()
    with wave.open(silence, "wb") as file:
        file.setparams((1, 1, 8_000, 8_000, "NONE", ""))
        file.writeframes(b"\x80" * 8_000)
    stand_in.record = record("live", playbackUrl=f"{stand_in.url}/silence.wav")
    page = await open_page("about:blank")
    await page.route("**/silence.wav", lambda route: route.fulfill(body=silence.getvalue(), content_type="audio/wav"))

    async def open_again(url: str, **context: Any) -> Page:
        await page.goto(url)
        return page

    return await live_page(stand_in, open_again)


@state("This browser can't play the video here.")
async def video_unplayable(stand_in: StandIn, open_page: OpenPage) -> Page:
    stand_in.record = record("live", playbackUrl=f"{stand_in.url}/nowhere.mp4")
    return await live_page(stand_in, open_page)


@state("+90/s")
async def fast(stand_in: StandIn, open_page: OpenPage) -> Page:
    """The service leaves some out, and says how many; for a few seconds, as here it says so once."""
    page = await live_page(stand_in, open_page)
    for number in range(40):
        stand_in.say(f"Goal! {number}", f"Viewer {number}")
    stand_in.send("skipped", {"skipped": 360})
    return page


@state("Other tabs of this browser show live comments.")
async def too_many_tabs(stand_in: StandIn, open_page: OpenPage) -> Page:
    stand_in.one_origin = True
    page = await visit(stand_in, open_page)
    for _ in range(STREAMS_OF_A_BROWSER):
        page = await page.context.new_page()
        await page.goto(f"{stand_in.url}/?video=demo")
    return page


@state("Connecting")
async def connecting(stand_in: StandIn, open_page: OpenPage) -> Page:
    stand_in.held_back = "all"
    return await visit(stand_in, open_page)


@state("Reconnecting")
async def reconnecting(stand_in: StandIn, open_page: OpenPage) -> Page:
    page = await live_page(stand_in, open_page)
    assert stand_in.rms is not None
    await stand_in.rms.kill()  # and nothing tells the place's owner: the page tries the same place again
    await expect_state(page, "reconnecting")
    return page


@state("No dispatcher answers.")
async def no_server(stand_in: StandIn, open_page: OpenPage) -> Page:
    page = await live_page(stand_in, open_page)
    rms, stand_in.rms = stand_in.rms, None
    assert rms is not None
    stand_in.retry_after_s = 90
    await rms.kill()
    await expect_state(page, "down")
    return page


@state("You are offline.")
async def offline(stand_in: StandIn, open_page: OpenPage) -> Page:
    page = await live_page(stand_in, open_page)
    await page.context.set_offline(True)
    rms, stand_in.rms = stand_in.rms, None
    assert rms is not None
    await rms.kill()
    return page


@state("Refused")
async def refused(stand_in: StandIn, open_page: OpenPage) -> Page:
    stand_in.refuses_with = 403
    return await visit(stand_in, open_page)


@state("This node is full")
async def full(stand_in: StandIn, open_page: OpenPage) -> Page:
    stand_in.responses_to_streams += [error_response(503, "full", "this node is full") for _ in range(50)]
    page = await visit(stand_in, open_page)
    await expect_state(page, "down")
    return page


@state("There is no video with this name.")
async def unknown_video(stand_in: StandIn, open_page: OpenPage) -> Page:
    stand_in.refuses_with = 404
    return await visit(stand_in, open_page)


@state("There is no such video")
async def no_such_video(stand_in: StandIn, open_page: OpenPage) -> Page:
    return await open_page(f"{stand_in.url}/?video=..")


@state("Some comments could not be shown.")
async def gap(stand_in: StandIn, open_page: OpenPage) -> Page:
    page = await live_page(stand_in, open_page)
    await expect(page.locator("#above")).to_have_text(BEGINNING)
    stand_in.responses_to_pages.append(error_response(503, "store_away", "the store is away"))
    newest = stand_in.arrivals[len(TALK) - 1][1]["id"]
    stand_in.send("gap", {"from": newest, "to": None, "reason": "too_far_behind"})
    stand_in.say("And now, the encore", "Ben")
    return page


@state("Older comments can't be loaded")
async def older_failed(stand_in: StandIn, open_page: OpenPage) -> Page:
    stand_in.responses_to_pages += [error_response(503, "busy", "the store is busy") for _ in range(50)]
    page = await live_page(stand_in, open_page)
    await scroll_to(page, 0)
    return page


@state("new comments")
async def paused(stand_in: StandIn, open_page: OpenPage) -> Page:
    for number in range(40):
        stand_in.say(f"Comment {number}", f"Viewer {number % 7}")
    page = await live_page(stand_in, open_page)
    await page.hover("#scroller")
    await page.mouse.wheel(0, -400)
    await expect(page.locator("#newest")).to_be_visible()
    for number in range(3):
        stand_in.say(f"Later {number}", "Ben")
    return page


@state("Your name")
async def naming(stand_in: StandIn, open_page: OpenPage) -> Page:
    talk(stand_in)
    page = await visit(stand_in, open_page)
    await expect_state(page, "live")
    await page.click("#message")
    await page.keyboard.type("Hello")
    await page.keyboard.press("Enter")
    return page


@state("20 left")
async def nearly_full_box(stand_in: StandIn, open_page: OpenPage) -> Page:
    page = await live_page(stand_in, open_page)
    await page.fill("#message", "nearly all of it " * 28 + "here")
    return page


@state("100 too many")
async def too_long(stand_in: StandIn, open_page: OpenPage) -> Page:
    page = await live_page(stand_in, open_page)
    await page.fill("#message", "x" * 600)
    return page


@state("Sending…")
async def post_on_its_way(stand_in: StandIn, open_page: OpenPage) -> Page:
    page = await live_page(stand_in, open_page)

    async def never(route: Route) -> None:
        """The service takes its time."""

    await page.route("**/comment/create", never)
    await post(page, "Hello from Vienna")
    return page


@state("Not sent")
async def post_failed(stand_in: StandIn, open_page: OpenPage) -> Page:
    page = await live_page(stand_in, open_page)
    refusal: Response = error_response(422, "rude", "message is rude: be kind")
    stand_in.responses_to_posts.append(refusal)
    await post(page, "You fool")
    return page


@state("Open")
async def menu(stand_in: StandIn, open_page: OpenPage) -> Page:
    page = await live_page(stand_in, open_page)
    await page.click("#menu summary")
    return page


@state("In an empty box: take the last comment back")
async def help_open(stand_in: StandIn, open_page: OpenPage) -> Page:
    page = await live_page(stand_in, open_page)
    await page.focus("#scroller")
    await page.keyboard.press("?")
    return page


@state("اكتب تعليقًا")
async def right_to_left(stand_in: StandIn, open_page: OpenPage) -> Page:
    talk(stand_in)
    page = await visit(stand_in, open_page, locale="ar")
    await expect_state(page, "live")
    return page


@state("needs a newer browser")
async def old_browser(stand_in: StandIn, open_page: OpenPage) -> Page:
    """Its script can't run there; here it doesn't come."""
    page = await open_page("about:blank")
    await page.route("**/*.js", lambda route: route.abort())
    await page.goto(f"{stand_in.url}/?video=demo")
    return page


@state("This page needs JavaScript.", "noscript p")  # get_by_text skips noscript
async def no_script(stand_in: StandIn, open_page: OpenPage) -> Page:
    return await visit(stand_in, open_page, java_script_enabled=False)
