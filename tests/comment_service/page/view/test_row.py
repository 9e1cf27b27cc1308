"""row.js shows what users write as text, whatever it looks like."""

import pytest
from playwright.async_api import expect

from tests.browser_fixture import OpenPage
from tests.comment_service.page.reader import expect_messages, open_live, post, take_name
from tests.comment_service.page.stand_in import StandIn

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOSTILE = [
    '<img src=x onerror="window.broken = 1">',
    "<script>window.broken = 1</script>",
    "</p></article><style>* { display: none }</style>",
    "&lt;b&gt; &amp;amp; \\u003cscript\\u003e",
    "${window.broken = 1} {{constructor.constructor('window.broken=1')()}}",
    "https://example.org/ javascript:alert(1)",
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
    assert inside == ["A", "BDI", "SPAN", "TIME"]
    assert await page.evaluate("window.broken") is None


async def test_a_name_that_is_turned_round_stays_as_it_was_written(stand_in: StandIn, open_page: OpenPage) -> None:
    """With U+202E "nimda" looks like "admin"; a message that is turned round stays within itself."""
    stand_in.say("I am\u202e desrever", "\u202enimda")
    page = await open_live(open_page, stand_in)
    await expect(page.locator("article .author")).to_have_text("nimda")
    left = "parts => parts.map((part) => part.getClientRects()[0].left)"
    sides = await page.eval_on_selector_all("article .author, article .message", left)
    assert sides[0] < sides[1]


async def test_links_are_only_that(stand_in: StandIn, open_page: OpenPage) -> None:
    stand_in.say("see https://example.org/a?b=1. @Ann")
    requests: list[str] = []
    page = await open_live(open_page, stand_in)
    page.on("request", lambda request: requests.append(request.url))
    link = page.locator("article a")
    await expect(link).to_have_attribute("href", "https://example.org/a?b=1")
    rel = await link.get_attribute("rel")
    assert rel is not None
    assert {"nofollow", "ugc", "noopener"} <= set(rel.split())
    await expect(page.locator("article .mention")).to_have_text("@Ann")
    assert not [url for url in requests if "example.org" in url]


async def test_a_long_message_has_more(stand_in: StandIn, open_page: OpenPage) -> None:
    """No row scrolls by itself, none is a tab stop by itself, and nobody fills the screen."""
    stand_in.say("word " * 99 + "end")
    stand_in.say("\n" * 498 + "x")
    page = await open_live(open_page, stand_in)
    await expect(page.locator("article")).to_have_count(2)
    heights = [box["height"] for row in await page.locator("article").all() if (box := await row.bounding_box())]
    assert len(heights) == 2
    assert max(heights) < 200
    scrolls = "rows => rows.filter((row) => row.scrollHeight > row.clientHeight).length"
    assert await page.eval_on_selector_all("article, article *", scrolls) == 0
    await page.locator("article").first.get_by_role("button", name="more").click()
    await expect(page.locator("article .message").first).to_have_text("word " * 99 + "end")
    await expect(page.locator("article").first.get_by_role("button")).to_have_count(0)
    await page.mouse.move(1, 1)
    stand_in.say("later")
    await expect(page.locator("article")).to_have_count(3)
    await expect(page.locator("article .message").first).to_have_text("word " * 99 + "end")


async def test_a_run_of_one_author_has_one_name(stand_in: StandIn, open_page: OpenPage) -> None:
    said = [stand_in.say("hello", name) for name in ("Ann", "Ann", "Ben", "Ann")]
    page = await open_live(open_page, stand_in)
    await expect(page.locator("article")).to_have_count(4)
    runs = "rows => rows.map((row) => row.classList.contains('continued'))"
    assert await page.eval_on_selector_all("article", runs) == [False, True, False, False]
    stand_in.send("deleted", {"id": said[2]["id"]})
    await expect(page.locator("article")).to_have_count(3)
    assert await page.eval_on_selector_all("article", runs) == [False, True, True]
    stand_in.send("deleted", {"id": said[0]["id"]})
    await expect(page.locator("article")).to_have_count(2)
    assert await page.eval_on_selector_all("article", runs) == [False, True]


async def test_own_rows_and_those_that_call_the_reader_are_marked(stand_in: StandIn, open_page: OpenPage) -> None:
    page = await open_live(open_page, stand_in)
    await take_name(page, "Ann B")
    await post(page, "hello")
    stand_in.say("@AnnB hello, and @Bo", "Ben")
    await expect(page.locator("article.mine .message")).to_have_text("hello")
    await expect(page.locator("article.called .mention.me")).to_have_text("@AnnB")
    await page.reload()
    await expect(page.locator("article.mine .message")).to_have_text("hello")


async def test_emoji_alone_are_big(stand_in: StandIn, open_page: OpenPage) -> None:
    for text in ("👩‍🚀", "no 👩‍🚀"):
        stand_in.say(text)
    page = await open_live(open_page, stand_in)
    await expect(page.locator("article.big .message")).to_have_text("👩‍🚀")


async def test_each_row_has_the_direction_of_its_text(stand_in: StandIn, open_page: OpenPage) -> None:
    for text, name in (("hello", "ليلى"), ("مرحبا", "Ann")):
        stand_in.say(text, name)
    page = await open_live(open_page, stand_in)
    await expect(page.locator("article")).to_have_count(2)
    directions = "rows => rows.map((row) => getComputedStyle(row).direction)"
    assert await page.eval_on_selector_all("article", directions) == ["ltr", "rtl"]


async def test_what_is_copied_reads_as_a_talk(stand_in: StandIn, open_page: OpenPage) -> None:
    for number, name in enumerate(("Ann", "Ann", "Ben")):
        stand_in.say(f"comment {number}", name)
    page = await open_live(open_page, stand_in)
    await expect(page.locator("article")).to_have_count(3)
    copied = """(whole) => {
        const part = whole ? document.getElementById("comments") : document.querySelector("article .message");
        getSelection().selectAllChildren(part);
        const event = new ClipboardEvent("copy", {clipboardData: new DataTransfer(), bubbles: true, cancelable: true});
        part.dispatchEvent(event);
        return [event.defaultPrevented, event.clipboardData.getData("text/plain")];
    }"""
    assert await page.evaluate(copied, True) == [True, "Ann: comment 0\nAnn: comment 1\nBen: comment 2"]
    assert await page.evaluate(copied, False) == [False, ""]  # the browser copies what is selected


CONTRASTS = """() => {
    const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
    const light = (colour) => {
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((value) => {
            const one = value / 255;
            return one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const contrast = (one, other) => {
        const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
        return (high + 0.05) / (low + 0.05);
    };
    const probe = document.createElement("i");
    document.body.append(probe);
    const computed = (colour) => { probe.style.color = colour; return getComputedStyle(probe).color; };
    const worst = {};
    const note = (name, value) => (worst[name] = Math.min(worst[name] ?? 99, value));
    for (const ground of ["paper", "hover", "mine", "called"]) {
        for (let hue = 0; hue < 360; hue += 1) {
            const name = computed(`oklch(var(--name-light) var(--name-chroma) ${hue})`);
            note(`name on ${ground}`, contrast(name, computed(`var(--${ground})`)));
            note("initial on disc", contrast(name, computed(`oklch(var(--disc-light) var(--disc-chroma) ${hue})`)));
        }
        for (const text of ["ink", "quiet", "accent"]) {
            note(`${text} on ${ground}`, contrast(computed(`var(--${text})`), computed(`var(--${ground})`)));
        }
    }
    for (const [text, ground] of [["good", "paper"], ["wait", "paper"], ["bad", "paper"], ["bad", "bad-ground"],
        ["ink", "bad-ground"], ["on-accent", "accent"], ["quiet", "raised"], ["ink", "raised"], ["quiet", "line"]]) {
        note(`${text} on ${ground}`, contrast(computed(`var(--${text})`), computed(`var(--${ground})`)));
    }
    note("edge", contrast(computed("var(--edge)"), computed("var(--paper)")) * 1.5);
    return worst;
}"""
"""The least contrast of each kind; that of edges times 1.5, for 3:1 is enough for them"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_text_can_be_read(stand_in: StandIn, open_page: OpenPage, scheme: str) -> None:
    page = await open_live(open_page, stand_in, color_scheme=scheme)
    worst = await page.evaluate(CONTRASTS)
    assert {name: value for name, value in worst.items() if value < 4.5} == {}


async def test_a_chosen_theme_is_the_same_as_the_systems(stand_in: StandIn, open_page: OpenPage) -> None:
    seen = []
    for system, chosen in (("dark", ""), ("light", "dark"), ("light", ""), ("dark", "light")):
        page = await open_live(open_page, stand_in, color_scheme=system)
        await page.evaluate("chosen => document.documentElement.dataset.theme = chosen", chosen)
        seen.append(await page.evaluate(CONTRASTS))
    assert seen[0] == seen[1] != seen[2]
    assert seen[2] == seen[3]


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
