"""The colours: names of every hue can be read in both themes, and so can the edges of what can be pressed or filled."""

import pytest

from tests.browser_fixture import OpenPage
from tests.comment_service.page.reader import expect_newest, open_live
from tests.comment_service.page.stand_in import StandIn

pytestmark = pytest.mark.asyncio(loop_scope="session")

# WCAG 2.2: https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio. A canvas turns any colour into sRGB, one over the other.
MEASURE = """() => {
    const pen = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    const lightness = (...layers) => {
        for (const layer of layers) {
            pen.fillStyle = layer;
            pen.fillRect(0, 0, 1, 1);
        }
        const linear = (part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
        const [red, green, blue] = [...pen.getImageData(0, 0, 1, 1).data].map((part) => linear(part / 255));
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const grounds = (element) => {
        const found = [];
        for (let one = element; one; one = one.parentElement) found.unshift(getComputedStyle(one).backgroundColor);
        return found;
    };
    const contrast = (color, behind) => {
        const [one, other] = [lightness(...behind, color), lightness(...behind)];
        return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    };
    const least = { name: [99, 0] };
    for (const row of document.querySelectorAll("#comments article")) {
        const author = row.querySelector(".author");
        for (let hue = 0; hue < 360; hue += 1) {
            row.style.setProperty("--hue", hue);
            const found = contrast(getComputedStyle(author).color, grounds(author));
            if (found < least.name[0]) least.name = [found, hue];
        }
    }
    const grow = document.getElementById("grow");
    const message = document.getElementById("message");
    const box = [grow, message].find((one) => parseFloat(getComputedStyle(one).borderTopWidth) > 0);
    least.edge = contrast(getComputedStyle(box).borderTopColor, grounds(box.parentElement));
    least.placeholder = contrast(getComputedStyle(message, "::placeholder").color, grounds(message));
    return least;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_name_can_be_read(stand_in: StandIn, open_page: OpenPage, scheme: str) -> None:
    stand_in.say("to others")
    stand_in.say("a call for @Kim", "Ben")
    page = await open_live(open_page, stand_in, color_scheme=scheme)
    await expect_newest(page, "a call for @Kim")
    least = await page.evaluate(MEASURE)
    assert least["name"][0] >= 4.5, f"hue {least['name'][1]}: {least['name'][0]:.2f}"
    assert least["placeholder"] >= 4.5
    assert least["edge"] >= 3
