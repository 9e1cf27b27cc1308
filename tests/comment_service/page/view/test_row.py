"""row.js shows what users write as text, whatever it looks like."""

import pytest
from playwright.async_api import expect

from tests.browser_fixture import OpenPage
from tests.comment_service.page.reader import expect_messages, open_live, post
from tests.comment_service.page.stand_in import StandIn

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOSTILE = [
    '<img src=x onerror="window.broken = 1">',
    "<script>window.broken = 1</script>",
    "</p></article><style>* { display: none }</style>",
    "&lt;b&gt; &amp;amp; \\u003cscript\\u003e",
    "${window.broken = 1} {{constructor.constructor('window.broken=1')()}}",
    "https://example.org/ javascript:alert(1)",
    "back\u202ewards and \u2066isolated",
    "'\"`-->]]>",
]


async def test_markup_stays_text(stand_in: StandIn, open_page: OpenPage) -> None:
    for text in HOSTILE:
        stand_in.say(text, name=text)
    page = await open_live(open_page, stand_in)
    await expect_messages(page, HOSTILE)
    await expect(page.locator("article .author")).to_have_text(HOSTILE)
    await post(page, HOSTILE[0])
    await expect_messages(page, [*HOSTILE, HOSTILE[0]])
    inside = await page.eval_on_selector_all("article *", "all => [...new Set(all.map((one) => one.tagName))].sort()")
    assert inside == ["BDI", "HEADER", "P", "TIME"]
    assert await page.evaluate("window.broken") is None


async def test_an_author_has_one_colour_everywhere(stand_in: StandIn, open_page: OpenPage) -> None:
    for name in ("Ann", "Ben", "Ann"):
        stand_in.say("hello", name)
    colours = []
    for _ in range(2):
        page = await open_live(open_page, stand_in)
        await expect(page.locator("article")).to_have_count(3)
        colours.append(
            await page.eval_on_selector_all(".author", "names => names.map((name) => getComputedStyle(name).color)")
        )
    assert colours[0] == colours[1]
    assert colours[0][0] == colours[0][2] != colours[0][1]


async def test_the_time_is_that_of_the_comment(stand_in: StandIn, open_page: OpenPage) -> None:
    old = stand_in.comment("long ago")
    old["createdAt"] = 1209279540123
    stand_in.arrive(old)
    page = await open_live(open_page, stand_in, timezone_id="Europe/Berlin", locale="en-GB")
    time = page.locator("article time")
    await expect(time).to_have_attribute("datetime", "2008-04-27T06:59:00.123Z")
    await expect(time).to_have_text("27 Apr 2008, 08:59")


async def test_line_breaks_do_not_fill_the_screen(stand_in: StandIn, open_page: OpenPage) -> None:
    stand_in.say("\n" * 498 + "x")
    page = await open_live(open_page, stand_in)
    box = await page.locator("article").bounding_box()
    assert box is not None
    assert box["height"] < 300
