"""Loads over HTTP: a real service, a little of everything"""

from dataclasses import replace

import pytest

from scripts.benches.history_http import Refused, fill, hot_page, posts, scroll, store_reads
from scripts.benches.history_servers import a_store, comment_service
from tests.scripts.benches.tiny import TINY


async def test_posts_pages_and_scrolling() -> None:
    async with a_store("sqlite") as store:
        await fill(store.url, TINY)
        async with comment_service(store) as service:
            assert await scroll(service, TINY) == 1  # one read of 200 comments has all
            for keyed in (False, True):
                figures = await posts(service, TINY, keyed=keyed)
                assert figures.requests > 0
                assert set(figures.cpu_us) == {"service", "dispatcher"}
            before = await store_reads(service)
            assert (await hot_page(service, TINY)).requests > 0
            assert await store_reads(service) <= before + 2


async def test_what_is_refused_is_no_figure() -> None:
    async with a_store("sqlite") as store, comment_service(store) as service:
        with pytest.raises(Refused, match="requests failed"):
            await posts(service, replace(TINY, message="x" * 501))
