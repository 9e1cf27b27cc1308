"""What differs between browsers, tried in Chromium, Firefox and WebKitGTK, at the sizes of a desktop and a phone."""

import pytest

from tests.browsers.fixture import SIZES, OpenTab
from tests.browsers.processes import asleep
from tests.browsers.tab import Tab, until
from tests.comment_service.page.stand_in import StandIn

pytestmark = pytest.mark.asyncio(loop_scope="session")

at_each_size = pytest.mark.parametrize("size", SIZES)

NEWEST_IS = """(text) => {
    const row = [...document.querySelectorAll("#comments .message")].at(-1);
    const scroller = document.getElementById("scroller").getBoundingClientRect();
    return row?.textContent === text && row.getBoundingClientRect().bottom <= scroller.bottom + 1;
}"""
"""The last row has this text, and it is in sight."""

IS_LIVE = "() => document.getElementById('state').dataset.state === 'live'"

VALUE_IS = "(text) => document.getElementById('message').value === text"

ROW_WITH = "((text) => [...document.querySelectorAll('#comments .message')].find((one) => one.textContent === text))"


async def open_live(open_tab: OpenTab, stand_in: StandIn, size: str = "desktop") -> Tab:
    tab = await open_tab(f"{stand_in.url}/?video=demo", size)
    await until(tab, IS_LIVE)
    return tab


async def select_rows(tab: Tab, first: int, last: int) -> None:
    """Draws the mouse from the beginning of one row to behind the end of another one's message."""
    start, end = await tab.call(
        """(first, last) => {
            const rows = [...document.querySelectorAll("#comments article")];
            const from = rows[first].getBoundingClientRect();
            const words = document.createRange();
            words.selectNodeContents(rows[last].querySelector(".message"));
            const to = [...words.getClientRects()].at(-1);
            const { left } = rows[first].querySelector(".author").getBoundingClientRect();
            return [[left - 1, from.top + Math.min(14, from.height / 2)], [to.right + 3, (to.top + to.bottom) / 2]];
        }""",
        first,
        last,
    )
    await tab.drag(start, end)


async def send(tab: Tab) -> None:
    """With the Enter key; once more where the page asks for a name."""
    await tab.press("Enter")
    if await tab.call("() => !document.getElementById('naming').hidden"):
        await tab.press("Enter")


def say_many(stand_in: StandIn, count: int = 60) -> str:
    """Returns the last message."""
    for number in range(count):
        stand_in.say(f"comment {number}")
    return f"comment {count - 1}"


@at_each_size
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


@at_each_size
async def test_it_follows_while_the_box_grows_and_shrinks(stand_in: StandIn, open_tab: OpenTab, size: str) -> None:
    tab = await open_live(open_tab, stand_in, size)
    await until(tab, NEWEST_IS, say_many(stand_in))
    await tab.click("#message")
    for line in ("thirty characters and some more", "another line"):
        await tab.type(line)
        stand_in.say(line)
        await until(tab, NEWEST_IS, line)
        await tab.press("Shift+Enter")
        stand_in.say(f"{line}, and a new one")
        await until(tab, NEWEST_IS, f"{line}, and a new one")
    await tab.press("Control+a")
    await tab.press("Backspace")
    await until(tab, VALUE_IS, "")
    stand_in.say("the end")
    await until(tab, NEWEST_IS, "the end")


async def test_enter_of_an_input_method_sends_nothing(stand_in: StandIn, open_tab: OpenTab) -> None:
    tab = await open_live(open_tab, stand_in)
    await tab.click("#message")
    await until(tab, VALUE_IS, await tab.compose())
    committed = await tab.commit()
    await until(tab, VALUE_IS, committed)
    assert await tab.call("() => document.getElementById('naming').hidden")  # which the first post would ask for
    assert stand_in.posts == []
    await send(tab)
    await until(tab, NEWEST_IS, committed)
    assert [body["message"] for _, body in stand_in.posts] == [committed]


@at_each_size
async def test_what_is_copied_is_clean_text(stand_in: StandIn, open_tab: OpenTab, size: str) -> None:
    """Selected with the mouse, pasted with the keyboard: names, words and line ends, nothing of the page's own."""
    stand_in.say("first <b>words</b>", "Ann")
    stand_in.say("second words", "Ben")
    tab = await open_live(open_tab, stand_in, size)
    await until(tab, NEWEST_IS, "second words")
    await select_rows(tab, 0, 1)
    await tab.press("Control+c")
    await tab.click("#message")
    await tab.press("Control+v")
    await until(tab, "() => document.getElementById('message').value.endsWith('second words')")
    pasted = await tab.call("() => document.getElementById('message').value")
    lines = [line.strip() for line in pasted.splitlines() if line.strip()]
    assert lines == ["Ann: first <b>words</b>", "Ben: second words"]


@at_each_size
async def test_a_selection_stays_while_comments_come(stand_in: StandIn, open_tab: OpenTab, size: str) -> None:
    tab = await open_live(open_tab, stand_in, size)
    await until(tab, NEWEST_IS, say_many(stand_in))
    await select_rows(tab, 57, 58)
    selected = await tab.call("() => getSelection().toString()")
    assert "comment 58" in selected
    top = await tab.call("() => document.querySelectorAll('#comments .message')[57].getBoundingClientRect().top")
    for number in range(10):
        stand_in.say(f"unseen {number}")
    await until(tab, "() => !document.getElementById('newest').hidden")
    assert await tab.call("() => getSelection().toString()") == selected
    assert abs(top - await tab.call(f"() => {ROW_WITH}('comment 57').getBoundingClientRect().top")) < 1


@at_each_size
async def test_the_keyboard_alone_reaches_everything(stand_in: StandIn, open_tab: OpenTab, size: str) -> None:
    tab = await open_live(open_tab, stand_in, size)
    await until(tab, NEWEST_IS, say_many(stand_in))
    await tab.call("() => document.activeElement.blur()")
    reached: list[str] = []
    while len(reached) < 30 and "send" not in reached:
        await tab.press("Tab")
        reached.append(await tab.call("() => document.activeElement.id || document.activeElement.tagName"))
        if reached[-1] == "message":
            await tab.type("by keys alone")
    assert {"SUMMARY", "scroller", "me", "message", "send"} <= set(reached), reached
    await send(tab)
    await until(tab, NEWEST_IS, "by keys alone")


async def test_enter_on_newest_keeps_the_focus(stand_in: StandIn, open_tab: OpenTab) -> None:
    tab = await open_live(open_tab, stand_in)
    await until(tab, NEWEST_IS, say_many(stand_in))
    await tab.wheel("#scroller", -300)
    await until(tab, "() => !document.getElementById('newest').hidden")
    await tab.call("() => document.getElementById('newest').focus()")
    await tab.press("Enter")
    await until(tab, "() => document.getElementById('newest').hidden")
    assert await tab.call("() => document.activeElement !== document.body")
    stand_in.say("followed")
    await until(tab, NEWEST_IS, "followed")


async def test_after_sleep_it_catches_up(stand_in: StandIn, open_tab: OpenTab) -> None:
    """The node that served it is gone by then."""
    stand_in.say("before")
    tab = await open_live(open_tab, stand_in)
    await until(tab, NEWEST_IS, "before")
    async with asleep(tab.processes()):
        stand_in.say("asleep")
        node = stand_in.rms
        assert node is not None
        stand_in.start_rms()
        await node.kill()
        stand_in.say("asleep still")
    await until(tab, NEWEST_IS, "asleep still")
    messages = "() => [...document.querySelectorAll('#comments .message')].map((one) => one.textContent)"
    assert await tab.call(messages) == ["before", "asleep", "asleep still"]
    await until(tab, IS_LIVE)


async def test_a_hidden_tab_comes_back_to_the_newest(stand_in: StandIn, open_tab: OpenTab) -> None:
    tab = await open_live(open_tab, stand_in)
    await until(tab, NEWEST_IS, say_many(stand_in))
    await tab.hide()
    last = say_many(stand_in, 300)
    await tab.show()
    await until(tab, NEWEST_IS, last)
    await until(tab, IS_LIVE)
