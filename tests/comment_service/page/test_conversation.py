"""conversation.js makes one list of what the stream and history bring: each comment once, in order."""

from typing import Any

import pytest
from playwright.async_api import expect
from starlette.responses import JSONResponse

from proto.http.responses import error_response
from tests.browser_fixture import OpenPage
from tests.comment_service.page.reader import (
    BEGINNING,
    EMPTY,
    TALL,
    expect_messages,
    expect_newest,
    expect_state,
    ids_shown,
    open_live,
    open_with_limits,
    post,
    scroll_up_until,
)
from tests.comment_service.page.stand_in import StandIn

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_duplicates_are_dropped_and_late_comments_are_sorted_in(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_live(open_page, stand_in)
    first, late, last = (stand_in.comment(text) for text in ("first", "late", "last"))
    for comment in (first, last, first, late, last, late):
        stand_in.arrive(comment)
    stand_in.say("end")
    await expect_messages(page, ["first", "late", "last", "end"])


async def test_own_comment_is_shown_even_without_a_stream(stand_in: StandIn, open_page: OpenPage) -> None:
    rms, stand_in.rms = stand_in.rms, None
    assert rms is not None
    await rms.kill()
    page = await open_page(f"{stand_in.url}/?video=demo")
    await expect_state(page, "down")
    await post(page, "is anybody there?")
    await expect_messages(page, ["is anybody there?"])


async def test_comments_can_be_read_without_a_stream(stand_in: StandIn, open_page: OpenPage) -> None:
    stand_in.say("written before")
    rms, stand_in.rms = stand_in.rms, None
    assert rms is not None
    await rms.kill()
    page = await open_page(f"{stand_in.url}/?video=demo")
    await expect_messages(page, ["written before"])
    await expect(page.locator("#above")).to_have_text(BEGINNING)


async def test_scrolling_up_reaches_the_beginning(stand_in: StandIn, open_page: OpenPage) -> None:
    said = [stand_in.say(f"comment {number}")["id"] for number in range(330)]
    page = await open_live(open_page, stand_in)
    await expect_newest(page, "comment 329")
    assert len(await ids_shown(page)) < len(said)
    await scroll_up_until(page, BEGINNING)
    assert await ids_shown(page) == said
    assert len(stand_in.cursors) <= 1 + len(said) / 50
    assert stand_in.cursors[0] is not None  # the stream sent the backfill, so history isn't asked for it


async def test_history_brings_what_the_backfill_left_out(stand_in: StandIn, open_page: OpenPage) -> None:
    """A backfill has the comments that arrived last. If one of them is late, comments with ids above it are missing."""
    late = stand_in.comment("late")
    said = [stand_in.say(f"comment {number}") for number in range(120)]
    stand_in.arrive(late)
    page = await open_live(open_page, stand_in)
    await expect_newest(page, "comment 119")
    await expect(page.locator("article").first).to_have_attribute("data-id", late["id"])
    await scroll_up_until(page, BEGINNING)
    assert await ids_shown(page) == [late["id"], *(comment["id"] for comment in said)]


async def test_a_page_that_fails_is_explained_and_requested_again(stand_in: StandIn, open_page: OpenPage) -> None:
    stand_in.responses_to_pages.append(error_response(503, "store_away", "the store is away", {"retry-after": "1"}))
    stand_in.say("hello")
    page = await open_live(open_page, stand_in)
    await expect(page.locator("#above")).to_contain_text("The store is away.")
    await expect(page.locator("#above")).to_have_text(BEGINNING)


async def test_a_gap_is_filled_from_history(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_live(open_page, stand_in, viewport=TALL)
    before = stand_in.say("before")
    await expect_newest(page, "before")
    missed = [stand_in.comment(f"missed {number}") for number in range(120)]
    after = stand_in.comment("after")
    # History has them; the stream never sends them.
    stand_in.only_in_history.extend(missed)
    stand_in.send("gap", {"from": before["id"], "to": after["id"], "reason": "too_far_behind"})
    stand_in.arrive(after)
    await expect_messages(page, ["before", *(comment["message"] for comment in missed), "after"])
    await expect(page.locator(".notice")).to_have_count(0)


async def test_a_gap_that_cannot_be_filled_shows_a_notice(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_live(open_page, stand_in)
    before = stand_in.say("before")
    await expect(page.locator("#above")).to_have_text(BEGINNING)
    missed, after = stand_in.comment("missed"), stand_in.comment("after")
    stand_in.only_in_history.append(missed)
    stand_in.responses_to_pages.append(error_response(503, "store_away", "the store is away"))
    stand_in.send("gap", {"from": before["id"], "to": None, "reason": "too_far_behind"})
    stand_in.arrive(after)
    notice = page.locator(".notice")
    await expect(notice).to_contain_text("Some comments could not be shown.")
    await expect_messages(page, ["before", "after"])
    await notice.get_by_role("button").click()
    await expect_messages(page, ["before", "missed", "after"])
    await expect(notice).to_have_count(0)


async def test_a_deleted_comment_disappears(stand_in: StandIn, open_page: OpenPage) -> None:
    said = [stand_in.say(text) for text in ("one", "two", "three")]
    page = await open_live(open_page, stand_in)
    await expect_newest(page, "three")
    stand_in.send("deleted", {"id": said[1]["id"]})
    stand_in.send("deleted", {"id": "0" * 16})
    await expect_messages(page, ["one", "three"])


async def test_a_restored_comment_is_back_in_its_place(stand_in: StandIn, open_page: OpenPage) -> None:
    said = [stand_in.say(text) for text in ("one", "two", "three")]
    page = await open_live(open_page, stand_in)
    await expect_newest(page, "three")
    stand_in.send("deleted", {"id": said[1]["id"]})
    await expect_messages(page, ["one", "three"])
    for _ in range(2):
        stand_in.send("restored", said[1])
    await expect_messages(page, ["one", "two", "three"])


async def test_a_purged_authors_comments_disappear(stand_in: StandIn, open_page: OpenPage) -> None:
    said = [stand_in.say(text, name) for text, name in (("one", "Ann"), ("two", "Bob"), ("three", "Ann"))]
    later = stand_in.say("four", "Ann")
    page = await open_live(open_page, stand_in)
    await expect_newest(page, "four")
    stand_in.send("author_purged", {"authorId": later["author"]["id"], "upTo": said[2]["id"]})
    await expect_messages(page, ["two", "four"])


async def test_viewers_and_skipped_comments_are_counted(stand_in: StandIn, open_page: OpenPage) -> None:
    stand_in.say("hello")
    page = await open_live(open_page, stand_in)
    stand_in.send("viewers", {"viewers": 19000})
    stand_in.send("skipped", {"skipped": 7})
    await expect(page.locator("#viewers")).to_have_text("19,000 watching")
    await expect(page.locator("#pace")).to_have_text("+2/s")


async def test_memory_is_bounded_and_what_was_dropped_is_loaded_again(stand_in: StandIn, open_page: OpenPage) -> None:
    limits = {"HELD_MAX": 300, "HELD_DROP": 100, "ROWS_MAX": 80, "ROWS_FOLLOWING": 40, "ROWS_STEP": 20, "ROW_PX": 1000}
    page = await open_with_limits(open_page, stand_in, **limits)
    said = [stand_in.say(f"comment {number}")["id"] for number in range(1000)]
    await expect_newest(page, "comment 999")
    seen = set(await ids_shown(page))
    await page.evaluate(
        """() => {
            window.seen = new Set();
            new MutationObserver(() => {
                for (const row of document.querySelectorAll("article")) window.seen.add(row.dataset.id);
            }).observe(document.getElementById("comments"), {childList: true});
        }"""
    )
    await scroll_up_until(page, BEGINNING)
    seen.update(await page.evaluate("[...window.seen]"))
    assert set(said) <= seen
    assert await page.locator("article").count() <= limits["ROWS_MAX"]


async def test_what_is_far_below_a_reader_is_dropped_and_loaded_again(stand_in: StandIn, open_page: OpenPage) -> None:
    limits = {"HELD_MAX": 300, "HELD_DROP": 100, "ROWS_MAX": 80, "ROWS_FOLLOWING": 40, "ROWS_STEP": 20, "ROW_PX": 1000}
    page = await open_with_limits(open_page, stand_in, **limits)
    for number in range(1000):
        stand_in.say(f"comment {number}")
    await expect_newest(page, "comment 999")
    await scroll_up_until(page, BEGINNING)
    await expect(page.locator("#below")).to_have_text("There are many newer comments.")
    stand_in.say("still live")
    await expect(page.locator("#newest")).to_have_text("1 new comment")
    await page.click("#newest")
    await expect_newest(page, "still live")
    await page.wait_for_function("document.querySelectorAll('article').length >= 40")
    shown = await ids_shown(page)
    assert shown == [comment["id"] for comment in reversed(stand_in.comments("demo"))][-len(shown) :]


@pytest.mark.parametrize("position", ["", "0.-1"])
async def test_a_page_that_is_cut_before_the_first_comment_misses_nothing(
    stand_in: StandIn, open_page: OpenPage, position: str
) -> None:
    """position: of an event that isn't a comment; empty: the cut came before that, too"""
    page = await open_live(open_page, stand_in)
    await expect(page.locator("#above")).to_have_text(EMPTY)
    if position:
        stand_in.send("viewers", {"viewers": 7}, position)
        await expect(page.locator("#viewers")).to_have_text("7 watching")
    rms, stand_in.rms = stand_in.rms, None
    assert rms is not None
    await rms.kill()
    await expect_state(page, "down")
    missed = [stand_in.say(f"missed {number}")["id"] for number in range(120)]
    stand_in.start_rms()
    await expect_newest(page, "missed 119")
    await scroll_up_until(page, BEGINNING)
    assert await ids_shown(page) == missed
    assert stand_in.last_event_ids[-1] == (position or None)


async def test_what_came_between_history_and_a_late_stream_is_not_missed(
    stand_in: StandIn, open_page: OpenPage
) -> None:
    before = stand_in.say("before")["id"]
    rms, stand_in.rms = stand_in.rms, None
    assert rms is not None
    await rms.kill()
    page = await open_page(f"{stand_in.url}/?video=demo")
    await expect_messages(page, ["before"])
    missed = [stand_in.say(f"missed {number}")["id"] for number in range(120)]
    stand_in.start_rms()
    await expect_newest(page, "missed 119")
    await scroll_up_until(page, BEGINNING)
    await expect(page.locator("article")).to_have_count(121)
    assert await ids_shown(page) == [before, *missed]


async def test_the_line_above_says_what_is_there(stand_in: StandIn, open_page: OpenPage) -> None:
    said = stand_in.say("the only one")
    page = await open_live(open_page, stand_in)
    await expect(page.locator("#above")).to_have_text(BEGINNING)
    stand_in.send("deleted", {"id": said["id"]})
    await expect(page.locator("#above")).to_have_text(EMPTY)
    stand_in.send("restored", said)
    await expect(page.locator("#above")).to_have_text(BEGINNING)


MALFORMED: list[dict[str, Any]] = [
    {},
    {"author": None},
    {"author": {"id": "guest:Ann"}},
    {"message": None},
    {"message": {"text": "hello"}},
    {"createdAt": "yesterday"},
    {"createdAt": 1e300},
    {"id": 7},
]


async def test_a_malformed_comment_costs_only_itself(stand_in: StandIn, open_page: OpenPage) -> None:
    said = stand_in.say("before")
    page = await open_live(open_page, stand_in)
    await expect_messages(page, ["before"])
    for number, wrong in enumerate(MALFORMED):
        comment = stand_in.comment(f"malformed {number}")
        broken = comment | wrong if wrong else {"liveVideoId": "demo"}
        stand_in.send("", broken, f"{comment['id']}.{len(stand_in.arrivals)}")
    for event in ("deleted", "restored", "author_purged", "viewers", "skipped", "gap"):
        stand_in.send(event, {})
    stand_in.say("after")
    await expect_messages(page, ["before", "after"])
    await expect_state(page, "live")
    stand_in.responses_to_pages.append(JSONResponse({"comments": [{}, None, said], "nextCursor": None}))
    await page.reload()
    await expect_messages(page, ["before", "after"])


@pytest.mark.parametrize("name", ["error", "open", "something-new"])
async def test_an_event_of_any_name_leaves_the_stream_open(stand_in: StandIn, open_page: OpenPage, name: str) -> None:
    page = await open_live(open_page, stand_in)
    stand_in.say("before")
    await expect_messages(page, ["before"])
    stand_in.send(name, {"message": "x"})
    stand_in.say("after")
    await expect_messages(page, ["before", "after"])
    assert len(stand_in.last_event_ids) == 1
    await expect_state(page, "live")
