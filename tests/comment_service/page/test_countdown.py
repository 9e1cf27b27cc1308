"""The countdown tells whole seconds, ends once, and can be stopped."""

import pytest
from playwright.async_api import Page

from tests.comment_service.page.modules import call

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_it_counts_down_and_ends_once(modules: Page) -> None:
    code = """const said = [];
    await new Promise((done) => it.countdown(given, (seconds) => said.push(seconds), () => done(said.push("done"))));
    return said;"""
    assert await call(modules, "countdown.js", code, 1200) == [2, 1, "done"]
    assert await call(modules, "countdown.js", code, 0) == ["done"]


async def test_stopped_it_says_nothing_more(modules: Page) -> None:
    code = """const said = [];
    const stop = it.countdown(50, (seconds) => said.push(seconds), () => said.push("done"));
    stop();
    await new Promise((done) => it.countdown(100, () => {}, done));
    return said;"""
    assert await call(modules, "countdown.js", code) == [1]
