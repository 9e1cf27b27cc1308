"""What differs between browsers, tried in Chromium, Firefox and WebKitGTK, at the sizes of a desktop and a phone."""

import pytest

from tests.browsers.fixture import OpenTab
from tests.browsers.tab import Tab, until
from tests.comment_service.page.stand_in import StandIn

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.parametrize("size", ["desktop", "phone"])]

NEWEST_IS = """(text) => {
    const row = [...document.querySelectorAll("#comments .message")].at(-1);
    const scroller = document.getElementById("scroller").getBoundingClientRect();
    return row?.textContent === text && row.getBoundingClientRect().bottom <= scroller.bottom + 1;
}"""
"""The last row has this text, and it is in sight."""

VALUE_IS = "(text) => document.getElementById('message').value === text"


async def open_live(open_tab: OpenTab, stand_in: StandIn, size: str) -> Tab:
    tab = await open_tab(f"{stand_in.url}/?video=demo", size)
    await until(tab, "() => document.getElementById('state').dataset.state === 'live'")
    return tab


def say_many(stand_in: StandIn, count: int = 60) -> str:
    """Returns the last message."""
    for number in range(count):
        stand_in.say(f"comment {number}")
    return f"comment {count - 1}"


async def test_it_follows_what_comes(stand_in: StandIn, open_tab: OpenTab, size: str) -> None:
    tab = await open_live(open_tab, stand_in, size)
    await until(tab, NEWEST_IS, say_many(stand_in))
    await tab.wheel("#scroller", -300)
    await until(tab, "() => !document.getElementById('newest').hidden")
    stand_in.say("unseen")
    assert not await tab.call(NEWEST_IS, "unseen")
    await tab.click("#newest")
    await until(tab, NEWEST_IS, "unseen")
    stand_in.say("seen")
    await until(tab, NEWEST_IS, "seen")


async def test_enter_of_an_input_method_sends_nothing(stand_in: StandIn, open_tab: OpenTab, size: str) -> None:
    tab = await open_live(open_tab, stand_in, size)
    await tab.click("#message")
    await until(tab, VALUE_IS, await tab.compose())
    committed = await tab.commit()
    await until(tab, VALUE_IS, committed)
    assert stand_in.posts == []
    await tab.press("Enter")
    await until(tab, NEWEST_IS, committed)
    assert [body["message"] for _, body in stand_in.posts] == [committed]
