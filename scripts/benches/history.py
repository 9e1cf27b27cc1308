"""scripts/bench history: how fast comments become durable and are read, beside the least that could do it."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import msgspec
from rich.console import Console

from history.store import StoreUnavailable
from scripts.benches import procfs
from scripts.benches.building import CannotBuild, build
from scripts.benches.history_config import HISTORY, HistorySettings
from scripts.benches.history_figures import HistoryFigure, figures_table, loads, number, shares
from scripts.benches.history_http import Refused, fill, hot_page, posts, scroll, store_reads
from scripts.benches.history_pages import depth, load_deep
from scripts.benches.history_servers import OneCassandra, a_store, comment_service, parse_only
from scripts.benches.history_writes import Both, warm
from scripts.benches.http_load import LoadFailed
from scripts.benches.outage_cluster import NodeNotUp
from scripts.benches.stopping import run_stoppable
from scripts.processes import NotReady

STORES = ("sqlite", "cassandra")
POSTS_REACH = {"cassandra": 60}
"""%; on SQLite it is stated"""


@dataclass(frozen=True, slots=True)
class HistoryWishes:
    stores: Sequence[str]
    parts: Sequence[str]
    repeats: int
    json: Path | None = None
    settings: HistorySettings = HISTORY


async def writes(_: str, repeats: int, settings: HistorySettings) -> list[HistoryFigure]:
    """Grouped writes beside single inserts; a first time before, so that neither finds a cold JVM"""
    async with OneCassandra() as cassandra:
        both = await Both.open(cassandra.url)
        try:
            await both.singles(settings)
            pairs = [(await both.singles(settings), await both.grouped(settings)) for _ in range(repeats)]
        finally:
            await both.close()
    per_s, cpu_us = (
        [median(getattr(pair[side], name) for pair in pairs) for side in (1, 0)] for name in ("per_s", "cpu_us")
    )
    beside = (
        f"{number(per_s[0])}/s beside {number(per_s[1])}/s; CPU of the writing process for each: "
        f"{number(cpu_us[0])} beside {number(cpu_us[1])} µs"
    )
    ratios = [ours.per_s / theirs.per_s for theirs, ours in pairs]
    return [HistoryFigure("grouped writes of single inserts, cassandra", "x", ratios, at_least=10, beside=beside)]


async def create(kind: str, repeats: int, settings: HistorySettings) -> list[HistoryFigure]:
    """Into a Cassandra that has had the same before: a JVM that has just started is busy compiling, costs four times as
    much a comment, and becomes better for a minute or two."""
    async with a_store(kind) as store:
        if kind == "cassandra":
            await warm(store.url, settings)
        async with parse_only() as least, comment_service(store) as service:
            if kind == "cassandra":
                for keyed in (False, True):
                    await posts(service, replace(settings, seconds=settings.jit_s), keyed=keyed)
            pairs = [(await posts(least, settings), await posts(service, settings)) for _ in range(repeats)]
            with_keys = [await posts(service, settings, keyed=True) for _ in range(repeats)]
    return [
        *shares(f"POST /comment/create of parse-only, {kind}", pairs, POSTS_REACH.get(kind)),
        HistoryFigure(
            f"POST with a key each, {kind}", "/s", [each.per_s for each in with_keys], beside=loads(with_keys)
        ),
    ]


async def hot(kind: str, repeats: int, settings: HistorySettings) -> list[HistoryFigure]:
    pairs, reads = [], []
    async with a_store(kind) as store:
        await fill(store.url, settings)
        async with parse_only() as least, comment_service(store) as service:
            for _ in range(repeats):
                constant, before = await hot_page(least, settings), await store_reads(service)
                pairs.append((constant, await hot_page(service, settings)))
                counted = settings.seconds / (settings.seconds + settings.warm_s)
                reads.append((await store_reads(service) - before) * 10_000 / (pairs[-1][1].requests / counted))
    return [
        *shares(f"first page, hot, of a constant answer, {kind}", pairs, 80),
        HistoryFigure(f"store reads in 10,000 of these, {kind}", "", reads, at_most=1),
    ]


async def deep(kind: str, repeats: int, settings: HistorySettings) -> list[HistoryFigure]:
    async with a_store(kind) as store:
        per_s = await load_deep(store.url, settings)
        await asyncio.to_thread(store.restart)
        found = [await depth(store.url, settings, store.chill) for _ in range(repeats)]
    first_ms, deep_ms = median(each.first_ms for each in found), median(each.deep_ms for each in found)
    beside = f"{number(deep_ms)} ms of {number(first_ms)} ms; loaded at {number(per_s)} comments/s"
    what = f"page at depth {settings.depth:,} of page 1, cold, {kind}"
    return [HistoryFigure(what, "x", [each.ratio for each in found], at_most=1.5, beside=beside)]


async def scrolled(kind: str, repeats: int, settings: HistorySettings) -> list[HistoryFigure]:
    reads = []
    async with a_store(kind) as store:
        await fill(store.url, settings)
        for _ in range(repeats):  # each with an empty cache
            async with comment_service(store) as service:
                reads.append(await scroll(service, settings))
    what = f"store reads for {settings.scroll_pages} pages of {settings.page}, {kind}"
    return [HistoryFigure(what, "", reads, at_most=12)]


PARTS = {"writes": writes, "posts": create, "hot": hot, "depth": deep, "scroll": scrolled}
CASSANDRA_ONLY = ("writes",)


async def measure(wishes: HistoryWishes, figures: list[HistoryFigure], console: Console) -> None:
    """Adds to `figures` as it goes: what was measured is shown also when a later part fails."""
    for part in wishes.parts:
        for kind in wishes.stores:
            if part not in CASSANDRA_ONLY or kind == "cassandra":
                with console.status(f"{part}, {kind}"):
                    figures += await PARTS[part](kind, wishes.repeats, wishes.settings)


def history(wishes: HistoryWishes) -> int:
    """The exit code: 1 if a figure wasn't reached, or something couldn't be measured."""
    console = Console(highlight=False, soft_wrap=True)
    figures: list[HistoryFigure] = []
    failed = ""
    try:
        build("asker")
        run_stoppable(measure(wishes, figures, console))
    except (CannotBuild, LoadFailed, NodeNotUp, NotReady, Refused, StoreUnavailable) as error:
        failed = str(error)
    except KeyboardInterrupt:
        failed = "stopped; all that it started is ended"
    if figures:
        console.print(figures_table(figures, str(procfs.machine())))
    if wishes.json:
        wishes.json.write_bytes(msgspec.json.format(msgspec.json.encode(figures)) + b"\n")
    if failed:
        print(f"bench: {failed}", file=sys.stderr)
    return 0 if not failed and all(figure.is_reached for figure in figures) else 1
