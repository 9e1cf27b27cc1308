"""A reader's tab in any browser: one vocabulary for Chromium, Firefox and WebKitGTK."""

import os
from dataclasses import dataclass
from typing import Any, Protocol

from playwright.async_api import Page

from tests.browsers import keys
from tests.browsers.bidi import Bidi
from tests.browsers.keys import Actions, Point
from tests.browsers.processes import descendants, program_of
from tests.browsers.webdriver import WebDriver
from tests.waiting import eventually

UNTIL_S = 20

MIDDLE = """(selector) => {
    const { left, top, width, height } = document.querySelector(selector).getBoundingClientRect();
    return [left + width / 2, top + height / 2];
}"""


class Tab(Protocol):
    """Keys and the mouse are the browser's own input, not events that a script makes."""

    async def open(self, url: str) -> None:
        """Returns when the page has loaded."""

    async def call(self, function: str, *given: object) -> Any:
        """Calls a JavaScript function with JSON values; returns what it returns, or what its promise yields."""

    async def press(self, chord: str) -> None:
        """`Enter`, `Shift+Enter`, `Control+c`; goes to whatever has the focus"""

    async def type(self, text: str) -> None:
        """One key after the other"""

    async def click(self, selector: str) -> None: ...

    async def drag(self, start: Point, end: Point) -> None:
        """With the left button, between positions in the viewport"""

    async def wheel(self, selector: str, down_px: int) -> None:
        """Turns the wheel above the element's middle."""

    async def resize(self, width: int, height: int) -> None:
        """Of the viewport, in pixels"""

    async def compose(self) -> str:
        """Begins to write with an input method; returns the unfinished text, which is in the box already."""

    async def commit(self) -> str:
        """Ends that with the Enter key, which belongs to the input method; returns what has taken its place."""
        ...

    async def hide(self) -> None:
        """Puts another tab in front. Nothing can be asked of this one until `show`."""

    async def show(self) -> None: ...

    def processes(self) -> list[int]:
        """The browser's"""
        ...


class ChromiumTab:
    """Chromium, through Playwright"""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def open(self, url: str) -> None:
        await self.page.goto(url)

    async def call(self, function: str, *given: object) -> Any:
        return await self.page.evaluate(f"(given) => ({function})(...given)", list(given))

    async def press(self, chord: str) -> None:
        await self.page.keyboard.press(chord)

    async def type(self, text: str) -> None:
        await self.page.keyboard.type(text)

    async def click(self, selector: str) -> None:
        await self.page.click(selector)

    async def drag(self, start: Point, end: Point) -> None:
        mouse = self.page.mouse
        await mouse.move(*start)
        await mouse.down()
        await mouse.move(*end, steps=2)
        await mouse.up()

    async def wheel(self, selector: str, down_px: int) -> None:
        await self.page.mouse.move(*await self.call(MIDDLE, selector))
        await self.page.mouse.wheel(0, down_px)

    async def resize(self, width: int, height: int) -> None:
        await self.page.set_viewport_size({"width": width, "height": height})

    async def compose(self) -> str:
        await self._devtools("Input.imeSetComposition", text="かな", selectionStart=2, selectionEnd=2)
        return "かな"

    async def commit(self) -> str:
        """As on macOS, where the key is called Enter all the same; in the two others here it is called otherwise."""
        await self._devtools("Input.dispatchKeyEvent", type="rawKeyDown", windowsVirtualKeyCode=229, key="Enter")
        await self._devtools("Input.insertText", text="仮名")
        await self._devtools("Input.dispatchKeyEvent", type="keyUp", windowsVirtualKeyCode=13, key="Enter")
        return "仮名"

    async def hide(self) -> None:
        """Without a screen, Chromium hides no tab. This one is frozen, as are tabs that have been hidden for long."""
        await self._devtools("Page.setWebLifecycleState", state="frozen")

    async def show(self) -> None:
        await self._devtools("Page.setWebLifecycleState", state="active")

    def processes(self) -> list[int]:
        return [pid for pid in descendants(os.getpid()) if "chrom" in program_of(pid)]

    async def _devtools(self, command: str, **params: object) -> None:
        devtools = await self.page.context.new_cdp_session(self.page)
        await devtools.send(command, params)
        await devtools.detach()


class _ActingTab:
    """What Firefox and WebKitGTK have in common: input as lists of actions"""

    async def call(self, function: str, *given: object) -> Any:
        raise NotImplementedError

    async def _act(self, actions: Actions) -> None:
        raise NotImplementedError

    async def press(self, chord: str) -> None:
        await self._act(keys.chord(chord))

    async def type(self, text: str) -> None:
        await self._act(keys.typed(text))

    async def click(self, selector: str) -> None:
        middle = await self.call(MIDDLE, selector)
        await self._act(keys.mouse(keys.move(middle), keys.PRESS, keys.RELEASE))

    async def drag(self, start: Point, end: Point) -> None:
        half = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
        way = (keys.move(half), keys.move(end))
        await self._act(keys.mouse(keys.move(start), keys.PRESS, *way, keys.RELEASE))

    async def wheel(self, selector: str, down_px: int) -> None:
        await self._act(keys.wheel(await self.call(MIDDLE, selector), down_px))


# Runs in Firefox's own window. The text input processor stands where a desktop's input method would.
INPUT_METHOD = """(text, committed) => {
    globalThis.method ??= Cc["@mozilla.org/text-input-processor;1"].createInstance(Ci.nsITextInputProcessor);
    const enter = new KeyboardEvent("", { key: "Enter", code: "Enter", keyCode: 13 });
    if (committed) {
        method.commitCompositionWith(committed, enter);
        return method.keyup(enter);
    }
    method.beginInputTransaction(window, () => true);
    method.setPendingCompositionString(text);
    method.appendClauseToPendingComposition(text.length, method.ATTR_RAW_CLAUSE);
    method.setCaretInPendingComposition(text.length);
    return method.flushPendingComposition(new KeyboardEvent("", { key: "a", code: "KeyA", keyCode: 65 }));
}"""


@dataclass(frozen=True, slots=True)
class Firefox:
    pid: int
    bidi: Bidi
    window: str
    """the context of Firefox's own window"""


class FirefoxTab(_ActingTab):
    """Firefox, through WebDriver BiDi"""

    def __init__(self, firefox: Firefox, context: str) -> None:
        """context: the tab's"""
        self._firefox = firefox
        self._bidi = firefox.bidi
        self._context = context
        self._in_front = ""

    async def open(self, url: str) -> None:
        await self._bidi.send("browsingContext.navigate", context=self._context, url=url, wait="complete")

    async def call(self, function: str, *given: object) -> Any:
        return await self._bidi.call(self._context, function, given)

    async def hide(self) -> None:
        self._in_front = (await self._bidi.send("browsingContext.create", type="tab"))["context"]
        await until(self, "() => document.hidden")

    async def show(self) -> None:
        await self._bidi.send("browsingContext.activate", context=self._context)
        await self._bidi.send("browsingContext.close", context=self._in_front)

    def processes(self) -> list[int]:
        return [self._firefox.pid, *descendants(self._firefox.pid)]

    async def resize(self, width: int, height: int) -> None:
        size = {"width": width, "height": height}
        await self._bidi.send("browsingContext.setViewport", context=self._context, viewport=size)

    async def compose(self) -> str:
        await self._bidi.call(self._firefox.window, INPUT_METHOD, ("かな", None))
        return "かな"

    async def commit(self) -> str:
        await self._bidi.call(self._firefox.window, INPUT_METHOD, ("かな", "仮名"))
        return "仮名"

    async def _act(self, actions: Actions) -> None:
        await self._bidi.send("input.performActions", context=self._context, actions=[actions])


@dataclass(frozen=True, slots=True)
class WebKit:
    pid: int
    """of the driver, which starts the browser"""
    url: str


class WebKitTab(_ActingTab):
    """WebKitGTK, through WebKitWebDriver"""

    def __init__(self, webkit: WebKit, driver: WebDriver) -> None:
        self._webkit = webkit
        self._driver = driver
        self._handle = ""

    async def open(self, url: str) -> None:
        await self._driver.post("url", url=url)

    async def call(self, function: str, *given: object) -> Any:
        script = f"return Promise.resolve(({function}).apply(null, arguments))"
        return await self._driver.post("execute/sync", script=script, args=given)

    async def resize(self, width: int, height: int) -> None:
        """A window that has just opened takes its size late."""
        await self._driver.post("window/rect", width=width, height=height)
        await until(self, "(width, height) => innerWidth === width && innerHeight === height", width, height)

    async def compose(self) -> str:
        """GTK's own input method: any character by its number, which is seen until Enter ends it"""
        await self.press("Control+Shift+u")
        await self.type("3042")
        return "u3042"

    async def commit(self) -> str:
        await self.press("Enter")
        return "あ"

    async def hide(self) -> None:
        self._handle = await self._driver.get("window")
        new = await self._driver.post("window/new", type="tab")
        await self._driver.post("window", handle=new["handle"])  # which brings it to the front

    async def show(self) -> None:
        await self._driver.post("window", handle=self._handle)

    def processes(self) -> list[int]:
        return descendants(self._webkit.pid)

    async def _act(self, actions: Actions) -> None:
        await self._driver.post("actions", actions=[actions])


async def until(tab: Tab, condition: str, *given: object) -> None:
    """condition: a JavaScript function that returns whether it holds"""

    async def holds() -> bool:
        return bool(await tab.call(condition, *given))

    try:
        await eventually(holds, UNTIL_S)
    except TimeoutError as error:
        error.add_note(f"never true: {condition} {given}")
        raise
