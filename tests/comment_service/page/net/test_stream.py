"""stream.js reconnects after every cut: nothing is lost, nothing comes twice, and the reader sees the state."""

import asyncio
import json

import pytest
from playwright.async_api import Page, expect

from proto.http.responses import error_response
from tests.browser_fixture import OpenPage
from tests.comment_service.page.reader import (
    BEGINNING,
    TALL,
    expect_messages,
    expect_state,
    open_live,
    open_with_limits,
    post,
    set_limits,
)
from tests.comment_service.page.stand_in import Server, StandIn
from tests.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def kill_rms(stand_in: StandIn) -> None:
    """Viewers get a 503 from now on."""
    rms, stand_in.rms = stand_in.rms, None
    assert rms is not None
    await rms.kill()


def streams_opened(stand_in: StandIn) -> int:
    return len(stand_in.last_event_ids)


async def test_a_killed_rms_is_survived(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_live(open_page, stand_in)
    for number in range(3):
        stand_in.say(f"before {number}")
    await expect_messages(page, [f"before {number}" for number in range(3)])
    assert stand_in.rms is not None
    dead = stand_in.rms
    stand_in.start_rms()
    await dead.kill()
    for number in range(3):
        stand_in.say(f"meanwhile {number}")
    await expect_state(page, "live")
    stand_in.say("after")
    meanwhile = [f"meanwhile {number}" for number in range(3)]
    await expect_messages(page, [*(f"before {number}" for number in range(3)), *meanwhile, "after"])
    assert stand_in.last_event_ids == [None, f"{stand_in.arrivals[2][1]['id']}.2"]


async def test_a_place_that_stays_dead_is_reported(stand_in: StandIn, open_page: OpenPage) -> None:
    """Placement notices it later than the viewers. Until then every try ends at the dead RMS."""
    stand_in.say("before")
    page = await open_live(open_page, stand_in)
    dead = stand_in.rms
    assert isinstance(dead, Server)
    await dead.kill()
    await expect_state(page, "reconnecting")
    stand_in.say("meanwhile")
    await expect_state(page, "down")
    await expect(page.locator("#reason")).to_have_text("The live server does not answer.")
    stand_in.start_rms()
    await expect_state(page, "live")
    await expect_messages(page, ["before", "meanwhile"])


async def test_a_missing_place_is_explained_and_recovered_from(stand_in: StandIn, open_page: OpenPage) -> None:
    await kill_rms(stand_in)
    stand_in.say("before")
    page = await open_page(f"{stand_in.url}/?video=demo")
    await expect_state(page, "down")
    await expect(page.locator("#reason")).to_have_text("No dispatcher answers.")
    await expect(page.locator("#state")).to_contain_text("No server, retry in 1 s")
    stand_in.start_rms()
    await expect_state(page, "live")
    await expect(page.locator("#reason")).to_have_text("")
    await expect_messages(page, ["before"])


async def test_a_stream_that_loses_its_place_later_comes_back(stand_in: StandIn, open_page: OpenPage) -> None:
    stand_in.say("before")
    page = await open_live(open_page, stand_in)
    await expect_messages(page, ["before"])
    await kill_rms(stand_in)
    await expect_state(page, "down")
    stand_in.say("meanwhile")
    stand_in.start_rms()
    await expect_state(page, "live")
    await expect_messages(page, ["before", "meanwhile"])


async def test_an_rms_that_refuses_is_tried_again(stand_in: StandIn, open_page: OpenPage) -> None:
    stand_in.responses_to_streams.append(error_response(503, "full", "this node is full"))
    stand_in.say("before")
    page = await open_live(open_page, stand_in)
    await expect_messages(page, ["before"])
    assert streams_opened(stand_in) == 2


async def test_it_goes_where_a_draining_rms_sends_it(stand_in: StandIn, open_page: OpenPage) -> None:
    stand_in.say("before")
    page = await open_live(open_page, stand_in)
    await expect_messages(page, ["before"])
    draining = stand_in.rms
    assert draining is not None
    stand_in.start_rms()
    stand_in.send("reconnect", {"delay_ms": 50})
    await expect_messages(page, ["before"])
    async with asyncio.timeout(10):
        while streams_opened(stand_in) < 2:
            await stand_in.opened.wait()
    await draining.kill()
    stand_in.say("after")
    await expect_messages(page, ["before", "after"])
    await expect_state(page, "live")


async def test_no_server_at_all_is_reported_and_tried_again(stand_in: StandIn, open_page: OpenPage) -> None:
    stand_in.say("before")
    page = await open_live(open_page, stand_in)
    await page.route("**/comments/demo*", lambda route: route.abort("connectionrefused"))
    await kill_rms(stand_in)
    await expect_state(page, "down")
    await expect(page.locator("#reason")).to_have_text("No server answers.")
    stand_in.start_rms()
    await page.unroute_all(behavior="wait")
    await expect_state(page, "live")


async def test_a_network_that_returns_is_used_at_once(stand_in: StandIn, open_page: OpenPage) -> None:
    stand_in.retry_after_s = 200
    await kill_rms(stand_in)
    page = await open_page(f"{stand_in.url}/?video=demo")
    await expect(page.locator("#state")).to_contain_text("retry in 2")
    await page.context.set_offline(True)
    stand_in.start_rms()
    await page.context.set_offline(False)
    await expect_state(page, "live")


async def visible_again(page: Page) -> None:
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


async def test_a_phone_that_wakes_does_not_wait(stand_in: StandIn, open_page: OpenPage) -> None:
    stand_in.retry_after_s = 200
    await kill_rms(stand_in)
    page = await open_page(f"{stand_in.url}/?video=demo")
    await expect(page.locator("#state")).to_contain_text("retry in 2")
    stand_in.start_rms()
    await visible_again(page)
    await expect_state(page, "live")
    await visible_again(page)  # a stream that had an event lately stays as it is
    stand_in.say("hello")
    await expect_messages(page, ["hello"])
    assert streams_opened(stand_in) == 1


async def test_a_gap_is_no_position(stand_in: StandIn, open_page: OpenPage) -> None:
    """After a cut between a gap and the comments after it, the page resumes from its last comment."""
    said = stand_in.say("before")
    page = await open_live(open_page, stand_in)
    await expect_messages(page, ["before"])
    stand_in.send("gap", {"from": said["id"], "to": said["id"], "reason": "too_far_behind"}, f"{said['id']}.99")
    stand_in.send("viewers", {"viewers": 3})
    await expect(page.locator("#viewers")).to_have_text("3 watching")
    await kill_rms(stand_in)
    stand_in.start_rms()
    stand_in.say("after")
    await expect_messages(page, ["before", "after"])
    assert stand_in.last_event_ids[-1] == f"{said['id']}.0"


async def test_a_stream_that_is_dead_but_not_closed_is_opened_anew(stand_in: StandIn, open_page: OpenPage) -> None:
    stand_in.heartbeat_ms = 300  # and no other one comes
    stand_in.say("before")
    page = await open_with_limits(open_page, stand_in, GOOD_STREAM_MS=0)  # else it would count as held back
    await expect_messages(page, ["before"])
    await eventually(lambda: streams_opened(stand_in) >= 3)
    assert None not in stand_in.last_event_ids[1:]
    await expect_messages(page, ["before"])


SLEEP = "const now = Date.now; Date.now = () => now() + 3_600_000;"
"""An hour, in which performance.now() and all timers stood still"""


@pytest.mark.parametrize("woken", ["", "visibilitychange", "resume"])
async def test_after_an_hours_sleep_the_stream_is_opened_anew(
    stand_in: StandIn, open_page: OpenPage, woken: str
) -> None:
    stand_in.say("before")
    looks_itself = {} if woken else {"LOOK_MS": 100}
    page = await open_with_limits(open_page, stand_in, **({"LOOK_MS": 600_000} | looks_itself))
    await expect_messages(page, ["before"])
    assert streams_opened(stand_in) == 1
    await page.evaluate(f"{SLEEP} if ({json.dumps(woken)}) document.dispatchEvent(new Event({json.dumps(woken)}))")
    await eventually(lambda: streams_opened(stand_in) > 1)


async def test_a_stream_that_is_refused_for_good_is_not_tried_again(stand_in: StandIn, open_page: OpenPage) -> None:
    stand_in.refuses_with = 403
    stand_in.say("before")
    page = await open_page(f"{stand_in.url}/?video=demo")
    await expect_state(page, "refused")
    await expect(page.locator("#reason")).to_have_text("Not for you.")
    await expect(page.locator("#state")).to_have_text("Refused")
    await expect_messages(page, ["before"])  # older comments may be had all the same
    stand_in.refuses_with = None
    await page.evaluate("window.dispatchEvent(new Event('online'))")
    await expect_state(page, "live")
    await expect(page.locator("#reason")).to_have_text("")


async def test_nodes_that_refuse_for_good_are_quoted(stand_in: StandIn, open_page: OpenPage) -> None:
    stand_in.responses_to_streams += [error_response(406, "no", "never") for _ in range(3)]
    page = await open_page(f"{stand_in.url}/?video=demo")
    await expect_state(page, "refused")
    await expect(page.locator("#reason")).to_have_text("Never.")
    assert streams_opened(stand_in) == 3


async def test_a_position_that_is_refused_is_given_up_and_nothing_is_missed(
    stand_in: StandIn, open_page: OpenPage
) -> None:
    stand_in.say("before")
    page = await open_live(open_page, stand_in, viewport=TALL)
    await expect_messages(page, ["before"])
    await expect(page.locator("#above")).to_have_text(BEGINNING)
    await kill_rms(stand_in)
    said = [stand_in.say(f"meanwhile {number}")["message"] for number in range(70)]
    stand_in.responses_to_streams += [error_response(400, "invalid_last_event_id", "what is that?") for _ in range(3)]
    stand_in.start_rms()
    await expect_messages(page, ["before", *said])
    assert stand_in.last_event_ids[-1] is None


HIDE = """(() => {
    let hidden = false;
    Object.defineProperty(Document.prototype, "hidden", {get: () => hidden});
    window.hide = (value) => { hidden = value; document.dispatchEvent(new Event("visibilitychange")); };
})()"""


async def test_without_locks_hidden_tabs_give_way_too(stand_in: StandIn, open_page: OpenPage) -> None:
    """A page without TLS has none. Its streams come from another host than the page itself."""
    page = await open_page("about:blank")
    await page.context.add_init_script(f"Object.defineProperty(navigator, 'locks', {{value: undefined}}); {HIDE}")
    for _ in range(6):
        await page.goto(f"{stand_in.url}/?video=demo")
        await expect_state(page, "live")
        await page.evaluate("hide(true)")
        page = await page.context.new_page()
    assert streams_opened(stand_in) == 6
    await set_limits(page, OPEN_TIMEOUT_MS=500, ASK_TIMEOUT_MS=500)
    await page.goto(f"{stand_in.url}/?video=demo")
    await expect_state(page, "live")


async def test_a_page_that_comes_back_from_the_browsers_memory_opens_a_stream(
    stand_in: StandIn, open_page: OpenPage
) -> None:
    stand_in.say("before")
    page = await open_live(open_page, stand_in)
    await expect_messages(page, ["before"])
    await page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', {persisted: true}))")
    await expect_state(page, "connecting")
    stand_in.say("meanwhile")
    await page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    await expect_state(page, "live")
    await expect_messages(page, ["before", "meanwhile"])
    assert streams_opened(stand_in) == 2


async def test_more_tabs_than_a_browser_has_connections(stand_in: StandIn, open_page: OpenPage) -> None:
    """Streams and posts go to one host here, as behind a door. A hidden tab gives way; if there is none, it is said."""
    stand_in.one_origin = True
    first = await open_live(open_page, stand_in)
    await first.context.add_init_script(HIDE)
    tabs = []
    for _ in range(6):
        tabs.append(await first.context.new_page())
        await tabs[-1].goto(f"{stand_in.url}/?video=demo")
    for tab in tabs[:3]:
        await expect_state(tab, "live")
    for tab in tabs[3:]:
        await expect_state(tab, "too-many-tabs")
    await expect(tabs[3].locator("#reason")).to_contain_text("Close one of them")
    await post(first, "hello")
    await expect_messages(first, ["hello"])
    await post(tabs[5], "and from here")
    await expect_messages(tabs[2], ["hello", "and from here"])
    await expect_messages(tabs[5], ["and from here"])
    await tabs[0].evaluate("hide(true)")
    await expect_state(tabs[0], "connecting")
    await tabs[1].close()
    lives = 0
    async with asyncio.timeout(15):
        while lives < 2:
            states = [await tab.locator("#state").get_attribute("data-state") for tab in tabs[3:]]
            lives = states.count("live")
    for tab in tabs[2:5]:
        await tab.close()
    await tabs[0].evaluate("hide(false)")
    stand_in.say("last")
    for tab in (tabs[0], first):
        await expect_messages(tab, ["hello", "and from here", "last"])


async def open_held_back(open_page: OpenPage, stand_in: StandIn, held_back: str, **limits: int) -> Page:
    """The page behind a proxy that holds streams back, with short waits"""
    stand_in.held_back, stand_in.heartbeat_ms = held_back, 150
    short = {"OPEN_TIMEOUT_MS": 1_500, "FIRST_EVENT_MS": 500, "LOOK_MS": 50, "POLL_PAUSE_MS": 20}
    return await open_with_limits(open_page, stand_in, **(short | limits))


@pytest.mark.parametrize("held_back", ["all", "body", "later"])
async def test_behind_a_proxy_that_holds_streams_back_it_polls(
    stand_in: StandIn, open_page: OpenPage, held_back: str
) -> None:
    stand_in.say("before")
    page = await open_held_back(open_page, stand_in, held_back)
    await eventually(lambda: bool(stand_in.polls))
    await expect_state(page, "live")
    await expect_messages(page, ["before"])
    said = []
    for number in range(5):
        said += [f"mine {number}", f"theirs {number}"]
        await post(page, said[-2])
        await expect_messages(page, ["before", *said[:-1]])
        stand_in.say(said[-1])
    await expect_messages(page, ["before", *said])
    stand_in.send("viewers", {"viewers": 3})
    await expect(page.locator("#viewers")).to_have_text("3 watching")
    await expect_state(page, "live")
    assert stand_in.polls_at_once == 1
    assert None not in stand_in.polls[1:]


@pytest.mark.parametrize("why", ["later", "online"])
async def test_it_tries_a_stream_again(stand_in: StandIn, open_page: OpenPage, why: str) -> None:
    limits = {"POLLING_FIRST_MS": 1_000} if why == "later" else {}
    page = await open_held_back(open_page, stand_in, "all", **limits)
    await expect_state(page, "live")
    stand_in.say("polled")
    await expect_messages(page, ["polled"])
    if why == "later":
        await eventually(lambda: streams_opened(stand_in) == 2)  # in vain
        stand_in.say("polled again")
        await expect_messages(page, ["polled", "polled again"])
    stand_in.held_back, stand_in.heartbeat_ms = "", 600_000
    before = streams_opened(stand_in)
    if why == "online":
        await page.evaluate("window.dispatchEvent(new Event('online'))")
    await eventually(lambda: streams_opened(stand_in) > before)
    await expect_state(page, "live")
    polls = len(stand_in.polls)
    stand_in.say("streamed")
    await expect(page.locator("#comments article .message").last).to_have_text("streamed")
    assert len(stand_in.polls) == polls
    assert await page.locator("#comments article").count() == (3 if why == "later" else 2)


async def test_a_poll_that_fails_goes_on_from_where_it_was(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_held_back(open_page, stand_in, "body", ASK_TIMEOUT_MS=1_000)
    stand_in.say("before")
    await expect_messages(page, ["before"])
    await kill_rms(stand_in)
    stand_in.say("meanwhile")
    await expect_state(page, "down")
    stand_in.start_rms()
    stand_in.say("after")
    await expect_messages(page, ["before", "meanwhile", "after"])
    await expect_state(page, "live")


async def test_a_poll_goes_where_a_draining_rms_sends_it(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_held_back(open_page, stand_in, "body")
    stand_in.say("before")
    await expect_messages(page, ["before"])
    draining = stand_in.rms
    assert draining is not None
    stand_in.start_rms()
    polls = len(stand_in.polls)
    stand_in.send("reconnect", {"delay_ms": 50})
    await eventually(lambda: len(stand_in.polls) > polls)
    await draining.kill()
    stand_in.say("after")
    await expect_messages(page, ["before", "after"])
    await expect_state(page, "live")
