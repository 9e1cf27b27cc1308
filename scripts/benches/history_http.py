"""Posts and the hot page over HTTP, each beside the least that a Starlette app can do, under the same load."""

import time

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from history.core.ids import first_id_at, format_id
from history.core.model import Author, Comment
from history.opening import open_store
from scripts.benches.history_config import HistorySettings
from scripts.benches.history_servers import Served
from scripts.benches.history_writes import VIDEO
from scripts.benches.http_load import NUMBER, LoadFigures, get, load, post

PAGE_PATH = f"/comments/{VIDEO}"
READS = "comment_service_store_reads_total"


class Refused(Exception):
    """Some requests were not answered with 200: nothing of them can be compared."""


async def posts(served: Served, settings: HistorySettings, *, keyed: bool = False) -> LoadFigures:
    """keyed: each post has an Idempotency-Key of its own. Raises Refused."""
    body = b'{"liveVideoId":"%b","author":{"name":"Ann"},"message":"%b"}' % (VIDEO.encode(), settings.message.encode())
    headers = {"idempotency_key": f"{time.time_ns()}-{NUMBER.decode()}"} if keyed else {}
    return await _asked(served, post("/comment/create", body, **headers), settings)


async def hot_page(served: Served, settings: HistorySettings) -> LoadFigures:
    """The first page, again and again. Raises Refused."""
    return await _asked(served, get(PAGE_PATH), settings)


async def fill(store: str, settings: HistorySettings) -> None:
    """What people have said before the first reader comes, one a second"""
    now_ms = time.time_ns() // 1_000_000
    said_ms = [now_ms - (settings.past - n) * 1000 for n in range(settings.past)]
    author = Author("guest:Ann", "Ann")
    opened = await open_store(store)
    try:
        await opened.append([Comment(first_id_at(ms), VIDEO, author, settings.message, ms) for ms in said_ms])
    finally:
        await opened.close()


async def store_reads(served: Served) -> float:
    """That the service has done for pages since its start"""
    async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{served.port}/metrics") as answer:
        text = await answer.text()
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return next(sample.value for sample in samples if sample.name == READS)


async def scroll(served: Served, settings: HistorySettings) -> float:
    """Reads of the store for so many pages, each asked for with the one before's nextCursor"""
    before, cursor = await store_reads(served), format_id(first_id_at(time.time_ns() // 1_000_000))
    url = f"http://127.0.0.1:{served.port}{PAGE_PATH}"
    async with aiohttp.ClientSession() as http:
        for _ in range(settings.scroll_pages):
            async with http.get(url, params={"cursor": cursor, "pagesize": settings.page}) as answer:
                cursor = (await answer.json())["nextCursor"]
    return await store_reads(served) - before


async def _asked(served: Served, request: bytes, settings: HistorySettings) -> LoadFigures:
    figures = await load(
        served.port,
        request,
        connections=settings.connections,
        seconds=settings.seconds,
        warm_s=settings.warm_s,
        watched=served.pids,
    )
    if figures.failed or not figures.requests:
        raise Refused(f"{figures.failed} of {figures.requests} requests failed")
    return figures
