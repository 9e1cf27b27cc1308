"""scripts/bench page: the viewers' page in a real Chromium on a slow CPU, while people talk: does it stay smooth?

The whole system runs; comments come through it at a steady rate; the CPU is slowed by Chromium's own throttle,
and there is no GPU. Somebody types all the time. With --whole the page's wish for a rate edition is taken out of its
requests, so that it has to show every comment: that is more than a viewer's page ever gets to show.

Everything is on the same cores, so other work on the machine makes the figures worse.
"""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import linear_regression
from typing import TYPE_CHECKING

import aiohttp

from scripts.benches import procfs
from scripts.benches.config import PAGE, PageSettings
from scripts.benches.running import BenchFailed, quiet_plan, running
from scripts.benches.stores import a_store
from scripts.benches.table import console, number, table
from scripts.posting import Poster

if TYPE_CHECKING:
    from playwright.async_api import Browser, CDPSession, Page, Route

WATCH = """() => {
    const seen = (window.seen = {frames: 0, tasks: [], keys: [], rows: 0});
    const frame = () => { seen.frames += 1; requestAnimationFrame(frame); };
    requestAnimationFrame(frame);
    new PerformanceObserver((list) => {
        for (const {startTime, duration} of list.getEntries()) seen.tasks.push([startTime, startTime + duration]);
    }).observe({type: "longtask"});
    const channel = new MessageChannel();
    let pressed = 0;
    channel.port1.onmessage = () => seen.keys.push(performance.now() - pressed);
    document.addEventListener("keydown", ({timeStamp}) => {
        pressed = timeStamp;
        requestAnimationFrame(() => channel.port2.postMessage(0)); // behind that frame's painting
    }, true);
    new MutationObserver((changes) => {
        for (const {addedNodes} of changes) seen.rows += addedNodes.length;
    }).observe(document.getElementById("comments"), {childList: true});
}"""


@dataclass(frozen=True, slots=True)
class Form:
    """What is asked for on the command line"""

    rate: float
    seconds: float
    slower: float
    whole: bool


async def page(form: Form, settings: PageSettings = PAGE) -> bool:
    """True: it stayed smooth. Raises BenchFailed, NotReady."""
    try:
        from playwright.async_api import async_playwright
    except ImportError as missing:
        raise BenchFailed("the browser is driven by a package of the tests: scripts/setup test") from missing
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        raise BenchFailed("there is no chromium in PATH: apt-get install chromium")
    out = console()
    out.print(procfs.machine())
    async with a_store("sqlite") as store, async_playwright() as playwright:
        plan = quiet_plan(store.url, store.folder, dispatchers=1, rms=1)
        browser = await playwright.chromium.launch(executable_path=path, args=list(settings.chromium))
        async with running([plan["dispatcher"], plan["rms"], plan["comment-service"]]):
            figures = await _measure(browser, plan.base_url, form, settings)
        await browser.close()
    rows = [(what, number(value), reach) for what, (value, reach) in figures.items()]
    title = f"{form.rate:g} comments/s, {form.seconds:g} s, CPU {form.slower:g} x slower"
    out.print(table(title, ("what", "here", "reach"), rows))
    return figures["longest task ms"][0] <= settings.task_ms_max


async def _measure(browser: "Browser", base: str, form: Form, settings: PageSettings) -> dict[str, tuple[float, str]]:
    """What -> how much, and what is to be reached"""
    page = await browser.new_page(viewport={"width": 390, "height": 844})
    if form.whole:
        await page.route("**/comments/*max_rate*", _unthinned)
    await page.goto(f"{base}/?video=bench")
    await page.wait_for_selector("#state[data-state=live]")
    cdp = await page.context.new_cdp_session(page)
    await cdp.send("Emulation.setCPUThrottlingRate", {"rate": form.slower})
    async with _talk(base, form.rate) as talk:
        await asyncio.sleep(settings.warm_s)
        await page.evaluate(WATCH)
        began_s = time.monotonic()
        heap, collections = await _type(page, cdp, form.seconds, settings)
        seconds = time.monotonic() - began_s
        seen = await page.evaluate("seen")
    # What the looks at the heap cost isn't the page's.
    tasks = [
        end - begin
        for begin, end in seen["tasks"]
        if not any(begin < till and end > since for since, till in collections)
    ]
    keys: Sequence[float] = sorted(seen["keys"]) or [0.0]
    return {
        "longest task ms": (max(tasks, default=0.0), f"{settings.task_ms_max:g}; 0: none over 50"),
        "tasks over 50 ms": (len(tasks), "0"),
        "frames/s": (seen["frames"] / seconds, "30"),
        "key to glyph, p95 ms": (keys[int(len(keys) * 0.95)], "50"),
        "heap, growth KB/min": (linear_regression(*zip(*heap, strict=True)).slope * 60 / 1024, "0"),
        "rows shown/s": (seen["rows"] / seconds, ""),
        "comments posted/s": (len(talk) / (time.monotonic() - began_s + settings.warm_s), ""),
    }


async def _unthinned(route: "Route") -> None:
    url = route.request.url
    head, _, query = url.partition("?")
    kept = "&".join(part for part in query.split("&") if not part.startswith("max_rate="))
    await route.continue_(url=f"{head}?{kept}")


async def _type(
    page: "Page", cdp: "CDPSession", seconds: float, settings: PageSettings
) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """A key now and then. Returns the heap's size over time, (seconds, bytes), and from when to when, by the page's
    clock, its garbage was collected for that."""
    await page.focus("#message")
    heap: list[tuple[float, float]] = []
    collections: list[tuple[float, float]] = []
    began_s = time.monotonic()
    pressed = 0
    while (now_s := time.monotonic()) < began_s + seconds:
        if now_s - began_s >= len(heap) * seconds / settings.heap_looks:
            since = await page.evaluate("performance.now()")
            await cdp.send("HeapProfiler.collectGarbage")
            usage = await cdp.send("Runtime.getHeapUsage")
            collections.append((since, await page.evaluate("performance.now()")))
            heap.append((now_s - began_s, usage["usedSize"]))
        pressed += 1
        await page.keyboard.press("Backspace" if pressed % 60 == 0 else "a")
        await asyncio.sleep(settings.key_s)
    return heap, collections


@asynccontextmanager
async def _talk(base: str, rate: float) -> AsyncIterator[list[float]]:
    """People talk within this. The list has the time of each accepted comment."""
    accepted: list[float] = []
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        poster = Poster(session, base, "bench")

        async def say(each: int) -> None:
            text = TEXTS[each % len(TEXTS)]
            await poster.post(f"viewer {each * 7 % 997}", f"{text} {each}", f"{each:032x}")
            accepted.append(time.monotonic())

        async def talk() -> None:
            began_s, each = time.monotonic(), 0
            while True:
                while each < (time.monotonic() - began_s) * rate:
                    group.create_task(say(each))
                    each += 1
                await asyncio.sleep(0.01)

        talking = group.create_task(talk())
        yield accepted
        talking.cancel()


TEXTS = (
    *(
        "GG",
        "what a goal!!! 🔥",
        "lol",
        "did anybody see that?",
        "😂😂😂",
        "no way",
        "offside, clearly",
        "@viewer 7 yes",
    ),
    "this is the best final in years, and I have seen all of them since 1998, believe me",
    *(
        "مرحبا بالجميع من القاهرة",
        "すごい試合だね",
        "look at https://example.org/replay?t=12 there",
        "who is number 10?",
    ),
)
"""As people write: short, some long, some links, every script"""
