"""scripts/bench history: measures how fast comments become durable and are read, beside the least that could do it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from statistics import median

import aiohttp

from history.core.ids import first_id_at, format_id
from scripts.benches import procfs
from scripts.benches.asking import NUMBER, TURN, Asked, ask, get, post
from scripts.benches.building import build
from scripts.benches.config import HISTORY, HistorySettings
from scripts.benches.history_erased import erase_an_hour
from scripts.benches.history_writers import quiet_beside_busy
from scripts.benches.history_writes import grouped, singles
from scripts.benches.schedule import VIDEO
from scripts.benches.servers import Served, comment_service, python_app
from scripts.benches.stores import BenchStore, a_store, depth, fill, load_deep
from scripts.benches.table import Figure, number, show_figures

POSTS_REACH = {"cassandra": 60.0}
"""% of parse-only's requests/s; on SQLite it is stated"""

KEYED_REACH = {"sqlite": 75.0, "cassandra": 50.0}
"""% of the requests/s of posts without a key"""

TURNS_REACH = 85.0
"""% of the requests/s of posts on one video"""

PAGE_PATH = f"/comments/{VIDEO}"


async def writes(store: BenchStore, repeats: int, settings: HistorySettings) -> list[Figure]:
    """Grouped writes beside single inserts; each a first time before, so that neither finds a cold JVM"""
    if store.kind != "cassandra":
        return []
    await grouped(store.url, settings)
    await asyncio.to_thread(singles, store.url, settings)
    pairs = [
        (await asyncio.to_thread(singles, store.url, settings), await grouped(store.url, settings))
        for _ in range(repeats)
    ]
    per_s, cpu_us = (
        [number(median(getattr(pair[side], name) for pair in pairs)) for side in (1, 0)] for name in ("per_s", "cpu_us")
    )
    beside = f"{per_s[0]}/s beside {per_s[1]}/s; CPU of the client for each: {cpu_us[0]} beside {cpu_us[1]} µs"
    ratios = [ours.per_s / theirs.per_s for theirs, ours in pairs]
    return [Figure("grouped writes of single inserts, cassandra", "x", ratios, at_least=10, beside=beside)]


async def posts(store: BenchStore, repeats: int, settings: HistorySettings) -> list[Figure]:
    """Into a Cassandra that has had the same before: a JVM that has just started is busy compiling, costs four times as
    much a comment, and becomes better for a minute or two."""
    warm = replace(settings, seconds=settings.jit_s)
    if store.kind == "cassandra":
        await grouped(store.url, warm)
    async with python_app("starlette_app") as least, _service(store) as service:
        if store.kind == "cassandra":
            for keyed in (False, True):
                await post_comments(service, warm, keyed=keyed)
        runs = [
            (
                await post_comments(least, settings),
                await post_comments(service, settings),
                await post_comments(service, settings, keyed=True),
            )
            for _ in range(repeats)
        ]
    pairs, with_keys = [(least, plain) for least, plain, _ in runs], [(plain, with_key) for _, plain, with_key in runs]
    return [
        *shares(f"POST /comment/create of parse-only, {store.kind}", pairs, POSTS_REACH.get(store.kind)),
        *shares(f"POST with a key each of one without, {store.kind}", with_keys, KEYED_REACH[store.kind]),
    ]


async def turns(store: BenchStore, repeats: int, settings: HistorySettings) -> list[Figure]:
    """Posts on many videos in turn, beside posts on one. Nobody reads them."""
    figures = []
    async with _service(store) as service:
        await post_comments(service, settings, videos=settings.videos)  # from now on no video is new
        for keyed in (False, True):
            pairs = [
                (
                    await post_comments(service, settings, keyed=keyed),
                    await post_comments(service, settings, keyed=keyed, videos=settings.videos),
                )
                for _ in range(repeats)
            ]
            what = f"POST{' with a key' if keyed else ''} on {settings.videos:,} videos in turn of on one, {store.kind}"
            figures += shares(what, pairs, TURNS_REACH)
    return figures


async def hot(store: BenchStore, repeats: int, settings: HistorySettings) -> list[Figure]:
    """The first page, again and again, beside a constant answer of the same size"""
    pairs, reads = [], []
    await fill(store.url, settings)
    counted = settings.seconds / (settings.seconds + settings.warm_s)
    async with python_app("starlette_app") as least, _service(store) as service:
        for _ in range(repeats):
            constant = await ask(least.port, get(PAGE_PATH), least.pids, settings)
            before = await _store_reads(service)
            ours = await ask(service.port, get(PAGE_PATH), service.pids, settings)
            pairs.append((constant, ours))
            reads.append((await _store_reads(service) - before) * 10_000 / (ours.requests / counted))
    return [
        *shares(f"first page, hot, of a constant answer, {store.kind}", pairs, 80),
        Figure(f"store reads in 10,000 of these, {store.kind}", "", reads, at_most=1),
    ]


async def deep(store: BenchStore, repeats: int, settings: HistorySettings) -> list[Figure]:
    """What a page at depth 1,000,000 costs, beside the first one, when nothing is cached"""
    per_s = await load_deep(store.url, settings)
    await store.restart()
    found = [await depth(store.url, settings, store.chill) for _ in range(repeats)]
    first_ms, deep_ms = ([median(each[side]) for each in found] for side in (0, 1))
    ratios = [deep / first for first, deep in zip(first_ms, deep_ms, strict=True)]
    beside = f"{number(median(deep_ms))} ms of {number(median(first_ms))} ms; loaded at {number(per_s)} comments/s"
    what = f"page at depth {settings.depth:,} of page 1, cold, {store.kind}"
    return [Figure(what, "x", ratios, at_most=1.5, beside=beside)]


async def scroll(store: BenchStore, repeats: int, settings: HistorySettings) -> list[Figure]:
    """Reads of the store for many pages, each asked for with the nextCursor of the one before"""
    reads = []
    await fill(store.url, settings)
    for _ in range(repeats):  # each with an empty cache
        async with _service(store) as service, aiohttp.ClientSession() as http:
            before, cursor = await _store_reads(service), format_id(first_id_at(time.time_ns() // 1_000_000))
            url = f"http://127.0.0.1:{service.port}{PAGE_PATH}"
            for _ in range(settings.scroll_pages):
                async with http.get(url, params={"cursor": cursor, "pagesize": settings.page}) as answer:
                    cursor = (await answer.json())["nextCursor"]
            reads.append(await _store_reads(service) - before)
    what = f"store reads for {settings.scroll_pages} pages of {settings.page}, {store.kind}"
    return [Figure(what, "", reads, at_most=12)]


async def erased(store: BenchStore, repeats: int, settings: HistorySettings) -> list[Figure]:
    """Reads across an hour of which all is erased, beside the same reads before"""
    before, after, per_s = await erase_an_hour(store.url, settings)
    figures = [
        Figure(
            f"{name} over {settings.erased:,} erased comments of the same before, {store.kind}",
            "x",
            [then / first],
            beside=f"{number(then)} ms beside {number(first)} ms",
        )
        for name, first, then in (
            ("a page", before.page, after.page),
            ("a seed", before.seed, after.seed),
            ("a catch-up", before.catch_up, after.catch_up),
            ("all pages", before.walk, after.walk),
        )
    ]
    beside = f"erased at {number(per_s)}/s; walked with {after.calls} calls"
    warned = [float(store.tombstone_warnings())]
    return [*figures, Figure(f"warnings of tombstones, {store.kind}", "", warned, at_most=0, beside=beside)]


async def writers(store: BenchStore, repeats: int, settings: HistorySettings) -> list[Figure]:
    """A second process that writes the same file"""
    if store.kind != "sqlite":
        return []
    runs = [await quiet_beside_busy(store.url, settings) for _ in range(repeats)]
    beside = f"the longest {number(max(longest for _, longest in runs))} ms"
    what = "p90 of a write beside another process that never rests, sqlite"
    return [Figure(what, "ms", [p90 for p90, _ in runs], beside=beside)]


PARTS: Mapping[str, Callable[[BenchStore, int, HistorySettings], Awaitable[list[Figure]]]] = {
    "writes": writes,
    "writers": writers,
    "posts": posts,
    "turns": turns,
    "hot": hot,
    "depth": deep,
    "scroll": scroll,
    "erased": erased,
}


async def history(
    parts: Sequence[str], stores: Sequence[str], repeats: int, settings: HistorySettings = HISTORY
) -> bool:
    """True: every figure is reached. Shows what was measured also when a later part fails."""
    build("asker")
    figures: list[Figure] = []
    try:
        for part in parts:
            for kind in stores:
                async with a_store(kind) as store:
                    figures += await PARTS[part](store, repeats, settings)
    finally:
        show_figures(figures, procfs.machine())
    return all(figure.is_reached for figure in figures)


async def post_comments(served: Served, settings: HistorySettings, *, keyed: bool = False, videos: int = 1) -> Asked:
    """keyed: each post has an Idempotency-Key of its own, as the page makes them. videos: so many in turn. Raises
    BenchFailed."""
    video_id = VIDEO if videos == 1 else f"{VIDEO}-{TURN}"
    body = f'{{"liveVideoId":"{video_id}","author":{{"name":"Ann"}},"message":"{settings.message}"}}'
    # A UUID of version 7, whose first half is its time: as if one were made in each ms.
    headers = {"idempotency_key": f"{NUMBER}70008000{time.time_ns() // 1_000_000:012x}"} if keyed else {}
    return await ask(served.port, post("/comment/create", body, **headers), served.pids, settings, videos)


def shares(what: str, pairs: Sequence[tuple[Asked, Asked]], at_least: float | None) -> list[Figure]:
    """pairs: the least that answers, and ours, one after the other under the same load. What ours reaches of it: in
    requests/s, and by what the server's own process needs for one.

    Where both cores are full, requests/s count the asker, the store and the dispatcher as well; the CPU doesn't.
    """
    by_rate = [100 * ours.per_s / least.per_s for least, ours in pairs]
    # /proc counts in ticks: of a very short run there may be none.
    by_cpu = [100 * least.cpu_us["service"] / max(1, ours.cpu_us["service"]) for least, ours in pairs]
    beside = f"{loads(ours for _, ours in pairs)}; beside {loads(least for least, _ in pairs)}"
    return [
        Figure(f"{what}: requests/s", "%", by_rate, at_least=at_least, beside=beside),
        Figure(f"{what}: by the server's CPU", "%", by_cpu),
    ]


def loads(runs: Iterable[Asked]) -> str:
    """The medians: '9,100/s, p99 31 ms, CPU for each: service 90, dispatcher 9, asker 14 µs'"""
    asked = list(runs)
    cpu_us = {name: median(each.cpu_us[name] for each in asked) for name in asked[0].cpu_us}
    per_s, p99_ms = median(each.per_s for each in asked), median(each.p99_ms for each in asked)
    words = ", ".join(f"{name} {value:.0f}" for name, value in cpu_us.items())
    return f"{number(per_s)}/s, p99 {p99_ms:.0f} ms, CPU for each: {words} µs"


async def _store_reads(served: Served) -> float:
    """That the service has done for pages since its start"""
    return await served.metric("comment_service_store_reads_total")


def _service(store: BenchStore) -> AbstractAsyncContextManager[Served]:
    return comment_service(store.url, store.folder, store.pids)
