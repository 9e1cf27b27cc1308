"""The page reads ids as history/core/ids.py writes them."""

import pytest
from playwright.async_api import Page

from history.core.ids import first_id_at, format_id, time_of
from tests.comment_service.page.modules import call

pytestmark = pytest.mark.asyncio(loop_scope="session")

TIMES_MS = [0, 1, 1209279540123, 1795258800000, (1 << 47) - 1]


async def test_times_are_those_of_the_service(modules: Page) -> None:
    firsts = await call(modules, "ids.js", "return given.map(it.firstIdAt);", TIMES_MS)
    assert firsts == [format_id(first_id_at(ms)) for ms in TIMES_MS]
    ids = [first_id_at(ms) + 0xFFFF for ms in TIMES_MS]
    times = await call(modules, "ids.js", "return given.map(it.timeOf);", [format_id(one) for one in ids])
    assert times == [time_of(one) for one in ids] == TIMES_MS
    assert await call(modules, "ids.js", "return it.firstIdAt(-1);") == format_id(first_id_at(-1))


async def test_keys_are_never_the_same(modules: Page) -> None:
    keys = await call(modules, "ids.js", "return Array.from({length: 500}, it.randomKey);")
    assert len(set(keys)) == 500
    assert all(len(key) == 32 and int(key, 16) >= 0 for key in keys)
