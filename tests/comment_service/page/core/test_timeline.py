"""timeline.js, against a model (a sorted set that loses its far end), and ids.js, against history/core/ids.py."""

import random

import pytest
from playwright.async_api import Page

from history.core.ids import first_id_at, format_id, time_of
from history.core.keys import time_of_key
from tests.comment_service.page.modules import call

pytestmark = pytest.mark.asyncio(loop_scope="session")


def id_at(ms: int) -> str:
    return f"{ms:012x}0000"


async def test_each_once_and_in_order_whatever_the_order_of_arrival(modules: Page) -> None:
    chance = random.Random(7)
    for _ in range(30):
        steps = [(chance.choice("aaarb"), id_at(chance.randrange(40))) for _ in range(chance.randrange(80))]
        held, news = await call(
            modules,
            "core/timeline.js",
            """const line = new it.Timeline(100, 10);
            const verbs = {a: (id) => line.add({id}), r: (id) => line.remove(id), b: (id) => line.restore(id)};
            const news = given.map(([verb, id]) => verbs[verb](id));
            return [line.entries.map((entry) => entry.id), news];""",
            steps,
        )
        model: set[str] = set()
        removed: set[str] = set()
        for (verb, comment_id), new in zip(steps, news, strict=True):
            if verb == "r":
                model.discard(comment_id)
                removed.add(comment_id)
            elif verb == "b":
                removed.discard(comment_id)
            else:
                assert new is (comment_id not in model | removed)
                model |= {comment_id} - removed
        assert held == sorted(model)


async def test_a_page_from_before_a_purge_brings_nothing_back(modules: Page) -> None:
    held = await call(
        modules,
        "core/timeline.js",
        """const line = new it.Timeline(100, 10);
        const page = given.map(([id, author]) => ({id, author: {id: author}}));
        line.add(page[0]);
        line.removeAuthor("ann", given[1][0]);
        for (const comment of page) line.add(comment);
        return line.entries.map((entry) => entry.id);""",
        [(id_at(0), "ann"), (id_at(1), "ann"), (id_at(1) + "1", "bob"), (id_at(2), "ann")],
    )
    assert held == [id_at(1) + "1", id_at(2)]


@pytest.mark.parametrize(("reader", "kept", "detached"), [(90, range(30, 101), False), (10, range(71), True)])
async def test_the_end_far_from_the_reader_goes(modules: Page, reader: int, kept: range, detached: bool) -> None:
    answer = await call(
        modules,
        "core/timeline.js",
        """const line = new it.Timeline(100, 30);
        for (const id of given.ids) line.add({id});
        const oldestWent = line.bound(given.reader);
        const held = line.entries.map((entry) => entry.id);
        return {oldestWent, held, detached: line.detached, newer: line.add({id: "f"}), again: line.bound(0)};""",
        {"ids": [id_at(ms) for ms in range(101)], "reader": reader},
    )
    assert answer["held"] == [id_at(ms) for ms in kept]
    assert answer["detached"] is detached
    assert answer["oldestWent"] is not detached
    assert answer["newer"] is not detached  # what comes after a hole isn't taken
    assert answer["again"] is False


async def test_a_notice_stands_behind_its_comment(modules: Page) -> None:
    held, oldest, newest = await call(
        modules,
        "core/timeline.js",
        """const line = new it.Timeline(100, 30);
        for (const id of [it.noticeId(given[1], "gap"), given[2], given[1]]) line.add({id});
        line.add({id: it.noticeId(given[2], "skipped")});
        return [line.entries.map((entry) => entry.id), line.oldestId(), line.newestId()];""",
        [id_at(ms) for ms in range(3)],
    )
    assert held == [id_at(1), f"{id_at(1)}~gap", id_at(2), f"{id_at(2)}~skipped"]
    assert (oldest, newest) == (id_at(1), id_at(2))


@pytest.mark.parametrize(
    ("held_ms", "cursor_ms"),
    [([], None), ([100], 100), ([0, 4000, 5000, 5001], 5000), (range(200), 49), ([0, 9000], 0)],
)
async def test_the_first_page_overlaps_what_could_be_incomplete(
    modules: Page, held_ms: list[int], cursor_ms: int | None
) -> None:
    cursor = await call(
        modules,
        "core/timeline.js",
        """const line = new it.Timeline(1000, 1);
        for (const id of given) line.add({id});
        return line.cursorBelowBackfill();""",
        [id_at(ms) for ms in held_ms],
    )
    assert cursor == (None if cursor_ms is None else id_at(cursor_ms))


TIMES_MS = [0, 1, 1209279540123, 1795258800000, (1 << 47) - 1]


async def test_times_are_those_of_the_service(modules: Page) -> None:
    firsts = await call(modules, "core/ids.js", "return given.map(it.firstIdAt);", TIMES_MS)
    assert firsts == [format_id(first_id_at(ms)) for ms in TIMES_MS]
    ids = [first_id_at(ms) + 0xFFFF for ms in TIMES_MS]
    times = await call(modules, "core/ids.js", "return given.map(it.timeOf);", [format_id(one) for one in ids])
    assert times == [time_of(one) for one in ids] == TIMES_MS
    assert await call(modules, "core/ids.js", "return it.firstIdAt(-1);") == format_id(first_id_at(-1))


async def test_keys_are_never_the_same(modules: Page) -> None:
    bytes_of = "() => crypto.getRandomValues(new Uint8Array(10))"
    many = f"return Array.from({{length: 500}}, () => it.keyOf(Date.now(), ({bytes_of})()));"
    keys = await call(modules, "core/ids.js", many)
    assert len(set(keys)) == 500
    assert all(len(key) == 32 and time_of_key(key) is not None for key in keys)
    of_times = f"return given.map((ms) => it.keyOf(ms, ({bytes_of})()));"
    keys = await call(modules, "core/ids.js", of_times, TIMES_MS)
    assert [time_of_key(key) for key in keys] == TIMES_MS
